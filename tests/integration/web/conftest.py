"""What the tests in a browser share: one browser, a page each, and the window on a show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from store.database import open_store
from store.lock import ProcessLock
from tests.integration.web import chromium
from tests.integration.web.chromium import TOKEN, Page
from tests.integration.web.show import TO_MS, Show, backtest
from web.app import create_app
from web.server import WebServer


@pytest.fixture(scope="session")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    path = tmp_path_factory.mktemp("browser") / "sim.sqlite"
    backtest(path)
    with ProcessLock(path), open_store(path, mode="write", at_ms=TO_MS) as store:
        # What the banner says is the database's own word; this one plays a simulation.
        store.connection.execute("UPDATE meta SET environment = 'sim'")
        made = Show(store)
        made.settle_in()
        yield made


@pytest.fixture(scope="session")
def url(show: Show) -> Iterator[str]:
    app = create_app(show.store.path, token=TOKEN)
    with WebServer(app, host="127.0.0.1", port=0, token=TOKEN) as server:
        yield server.url


@pytest.fixture(scope="session")
def chromium_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chromium.browser(tmp_path_factory.mktemp("profile")) as address:
        yield address


@pytest.fixture
def page(chromium_address: str) -> Iterator[Page]:
    with chromium.tab(chromium_address) as page:
        yield page
