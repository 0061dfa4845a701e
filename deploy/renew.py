"""Renew the pinned versions of the Python and npm packages: the newest that pyproject.toml and package.json admit.

Writes `deploy/requirements/*.txt`, each package with the sha256 of every file that its index publishes for that version
(so that one file serves Python 3.11 and later, on every processor), and `dashboard/package-lock.json`. Standard library
only. The index is the resolver's default; no file names it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import setup

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The oldest Python that must resolve.
PYTHON = "3.11"
#: For each file: what its packages are required by, and the files that are always installed before it.
FILES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "build": (("--group", "build"), ()),
    "run": (("pyproject.toml",), ("build",)),
    "test": (("pyproject.toml", "--extra", "dev"), ("build", "run")),
    "bench": (("pyproject.toml", "--extra", "bench"), ("build", "run")),
    "node": (("--group", "node"), ()),
    "renew": (("--group", "renew"), ()),
}
HEADER = "# Made by `make renew`; do not edit.\n"


def blocks(text: str) -> list[str]:
    """Return each requirement of a requirement file, with its continuation lines."""
    return [block for block in re.split(r"(?<!\\)\n", text) if re.match(r"[A-Za-z0-9]", block)]


def without(text: str, others: Iterable[str]) -> str:
    """Return a requirement file without what the other files hold in the same words.

    A package that is needed on more machines than there (another marker) stays: pip takes equal pins twice.
    """
    held = {block for other in others for block in blocks(other)}
    return HEADER + "".join(f"{block}\n" for block in blocks(text) if block not in held)


def resolver() -> Path:
    """Uv at its pinned version, in a virtual environment of its own."""
    home = setup.CLONE / ".setup" / "renew"
    pins = setup.REQUIREMENTS / "renew.txt"
    wanted = setup.digest(pins, sys.version)
    if not setup.stamped(home / ".kawamori", wanted):
        setup.make_venv(home)
        setup.install(home, "renew")
        (home / ".kawamori").write_text(wanted)
    return home / "bin" / "uv"


def python_pins() -> None:
    """Resolve everything together once, then write what each file holds of it."""
    uv = resolver()
    common = (
        uv,
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        PYTHON,
        "--no-header",
        "--no-annotate",
    )
    with tempfile.TemporaryDirectory() as folder:
        everything = Path(folder) / "everything.txt"
        groups = [part for name in ("build", "node", "renew") for part in ("--group", name)]
        setup.run(*common, "pyproject.toml", "--all-extras", *groups, "--upgrade", "-o", everything)
        found: dict[str, str] = {}
        for name, (what, before) in FILES.items():
            out = Path(folder) / f"{name}.txt"
            setup.run(*common, *what, "--generate-hashes", "--no-emit-index-url", "-c", everything, "-o", out)
            found[name] = without(out.read_text(), [found[other] for other in before])
    for name, text in found.items():
        (setup.REQUIREMENTS / f"{name}.txt").write_text(text)


def npm_pins() -> None:
    """Take the newest of each direct package's major version, and the newest of all others that these admit."""
    folder = setup.CLONE / "dashboard"
    env = {"PATH": f"{setup.node()}:{os.environ.get('PATH', '')}"}
    direct = json.loads((folder / "package.json").read_text())
    for kind, flag in (("dependencies", "--save-prod"), ("devDependencies", "--save-dev")):
        wanted = [f"{name}@^{version}" for name, version in direct[kind].items()]
        setup.run("npm", "install", "--package-lock-only", "--save-exact", flag, *wanted, cwd=folder, env=env)
    setup.run("npm", "update", "--package-lock-only", cwd=folder, env=env)


def main() -> int:
    """Renew both, and show what changed."""
    try:
        with setup.told("pins of the Python packages"):
            python_pins()
        with setup.told("pins of the page's packages"):
            npm_pins()
    except (setup.SetupError, OSError) as error:
        print(f"renew: {error}", file=sys.stderr)
        return 1
    changed = ("deploy/requirements", "dashboard/package.json", "dashboard/package-lock.json")
    subprocess.run(["git", "diff", "--stat", "--", *changed], cwd=setup.CLONE, check=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
