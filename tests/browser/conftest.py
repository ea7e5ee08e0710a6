"""A Chromium for the session, and the explorer built for it."""

import os
import shutil
from collections.abc import AsyncIterator
from typing import NoReturn

import pytest

from explorer import build
from tests.browser.chromium import Browser, Tab, chromium, find

IN_CI = os.environ.get("CI") == "true"  # there it must not skip


def absent(reason: str) -> NoReturn:
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    program = find()
    if program is None:
        absent("there is no Chromium; on Debian: apt-get install chromium")
    if not build.is_current(build.DIST):
        if not IN_CI and shutil.which("npm") is None:
            absent("the explorer is not built and npm is missing: make explorer fetches one")
        told: list[str] = []
        if not build.build(told.append):
            absent(f"the explorer could not be built: {told[-1]}")
    async with chromium(program, tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
async def tab(browser: Browser) -> AsyncIterator[Tab]:
    async with browser.tab() as fresh:
        yield fresh
