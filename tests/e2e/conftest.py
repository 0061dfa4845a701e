"""The browser that people use."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from kawamori.servers import cache_folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    own = cache_folder() / "chromium/usr/bin/chromium"
    program = own if own.exists() else Path("/usr/bin/chromium")
    # the Node that playwright brings wants a library that a bare Debian lacks; the page's build has found a better one
    node = shutil.which("node", path=f"{os.environ.get('PATH', '')}:{Path(sys.executable).parent}")
    if node:
        os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", node)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        with_chromium = playwright.chromium.launch(executable_path=str(program), args=arguments)
        yield with_chromium
        with_chromium.close()
