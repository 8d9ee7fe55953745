"""What the tests in a browser share: one browser, a page each, and the window on a show."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.database import open_store
from store.lock import ProcessLock
from tests.integration.web import chromium
from tests.integration.web.chromium import TOKEN, Page
from tests.integration.web.show import TO_MS, Show, backtest
from web.app import create_app
from web.server import WebServer


@pytest.fixture(scope="session")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a finished backtest; whoever writes takes a copy."""
    path = tmp_path_factory.mktemp("journal") / "sim.sqlite"
    backtest(path)
    return path


def copied(journal: Path, folder: Path) -> Path:
    for source in journal.parent.glob("sim.sqlite*"):
        shutil.copy(source, folder / source.name)
    return folder / journal.name


@pytest.fixture(scope="session")
def show(journal: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    path = copied(journal, tmp_path_factory.mktemp("browser"))
    with ProcessLock(path), open_store(path, mode="write", at_ms=TO_MS) as store:
        # What the banner says is the database's own word; this one plays a simulation.
        store.connection.execute("UPDATE meta SET environment = 'sim'")
        made = Show(store)
        made.settle_in()
        yield made


@pytest.fixture(scope="session")
def url(show: Show) -> Iterator[str]:
    app = create_app(show.store.path, token=TOKEN)
    with WebServer.on(app, host="127.0.0.1", port=0, token=TOKEN) as server:
        yield server.url


@pytest.fixture(scope="session")
def chromium_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chromium.browser(tmp_path_factory.mktemp("profile")) as address:
        yield address


@pytest.fixture
def page(chromium_address: str) -> Iterator[Page]:
    with chromium.tab(chromium_address) as page:
        yield page
