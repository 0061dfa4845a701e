"""Build hook: the wheel carries the page that `deploy/setup.py dashboard` built, as `api/static`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface[Any]):
    """Adds dashboard/dist to a wheel; an editable installation finds it in the clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Refuse to build a wheel without the page."""
        if version == "editable":
            return
        page = Path(self.root) / "dashboard" / "dist"
        if not (page / "index.html").is_file():
            message = f"{page} holds no built page; next: `make wheel`, which builds it first"
            raise FileNotFoundError(message)
        build_data["force_include"][str(page)] = "api/static"
