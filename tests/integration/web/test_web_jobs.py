"""The page of runs starts backtests and studies where config.yaml allows it, and shows what came of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fsm.config import load_config
from store.database import open_store
from store.inbox import Inbox
from store.jobs import read_job
from store.lock import ProcessLock
from tests.integration.web.chromium import ROOT, TOKEN, Page, needs_chromium
from tests.integration.web.conftest import copied
from tests.integration.web.show import TO_MS, Show
from tests.integration.web.test_web_accessibility import barriers
from tests.integration.web.test_web_pages import come_in
from web.app import create_app
from web.server import WebServer

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
DAY_MS = 86_400_000


def config(*, jobs: bool) -> dict[str, object]:
    plain = load_config(ROOT / "config.yaml", None, {}).settings.plain()
    plain["web"]["jobs"] = jobs
    return {"config": plain}


@pytest.fixture
def show(journal: Path, tmp_path: Path) -> Iterator[Show]:
    path = copied(journal, tmp_path)
    with ProcessLock(path), open_store(path, mode="write", at_ms=TO_MS) as store:
        store.connection.execute("UPDATE meta SET environment = 'sim'")
        made = Show(store)
        made.document("config", config(jobs=True))
        yield made


@pytest.fixture
def address(show: Show) -> Iterator[str]:
    with WebServer.on(create_app(show.store.path, token=TOKEN), host="127.0.0.1", port=0, token=TOKEN) as server:
        yield server.url


def asked(address: str, kind: str, body: dict[str, object]) -> httpx.Response:
    return httpx.post(f"{address}/api/jobs/{kind}", headers=HEADERS, json=body, timeout=60)


def test_a_job_is_left_for_a_worker_where_config_allows_it(show: Show, address: str) -> None:
    accepted = asked(
        address, "backtest", {"name": "may", "symbols": ["BTCUSDT"], "from": "2024-11-01", "to": "2024-11-01"}
    )
    assert accepted.status_code == 202
    assert "`fsm worker`" in accepted.json()["note"]
    inbox = Inbox(show.store)
    assert inbox.take(TO_MS) == [], "no bot takes it"
    taken = inbox.take_job(TO_MS)
    assert taken is not None
    job = read_job(taken.kind)
    assert (job.name, job.symbols, job.trials) == ("may", ("BTCUSDT",), 0)
    assert job.to_ms == (job.from_ms or 0) + DAY_MS, "through the last day"
    shown = httpx.get(address + accepted.json()["url"], headers=HEADERS).json()
    assert shown["kind"] == "job backtest may"
    show.document("config", config(jobs=False))
    off = asked(address, "backtest", {"name": "no"})
    assert (off.status_code, off.json()["error"]["guard"]) == (409, "JOBS_OFF")


@pytest.mark.parametrize("name", ["../x", "a/b", "", "x.sqlite", ".hidden", "a" * 65, "a b"])
def test_a_name_is_no_path(address: str, name: str) -> None:
    assert asked(address, "study", {"name": name}).status_code == 422


def test_what_cannot_be_meant_is_422(address: str) -> None:
    for body in (
        {"trials": 0},
        {"trials": 3_000},
        {"vary": ["adx trend"]},
        {"from": "1.5.2024"},
        {"from": "2024-13-01"},
        {"from": "2024-10-02", "to": "2024-10-01"},
    ):
        assert asked(address, "study", {"name": "x", **body}).status_code == 422, body
    assert asked(address, "backtest", {"name": "x", "trials": 3}).status_code == 422


@needs_chromium
def test_a_study_is_started_and_what_came_of_it_is_shown(page: Page, show: Show, address: str) -> None:
    come_in(page, address, "/runs")
    page.wait_for("!document.getElementById('job-form').hidden")
    fields = {"job-kind": "study", "job-name": "adx", "job-symbols": "btcusdt, ETHUSDT", "job-from": "2024-10-01",
              "job-vary": "adx_trend=20..30:5", "job-trials": "4"}  # fmt: skip
    for field, value in fields.items():
        page.run(
            f"(() => {{ const field = document.getElementById('{field}'); field.value = '{value}';"
            " field.dispatchEvent(new Event('change')); })()"
        )
    assert barriers(page) == []
    page.run("document.getElementById('job-form').requestSubmit()")
    page.wait_for("document.getElementById('jobs').textContent.includes('waits for a worker')")
    inbox = Inbox(show.store)
    taken = inbox.take_job(TO_MS)
    assert taken is not None
    job = read_job(taken.kind)
    assert (job.symbols, job.vary, job.trials) == (("BTCUSDT", "ETHUSDT"), ("adx_trend=20..30:5",), 4)
    inbox.finish(taken.id, "refused", guard="JOB", detail="<b>there are no candles</b>", at_ms=TO_MS)
    page.wait_for("document.getElementById('jobs').textContent.includes('<b>there are no candles</b>')")
    backtest = asked(address, "backtest", {"name": "autumn"}).json()["id"]
    inbox.take_job(TO_MS)
    detail = '{"kept":"autumn","trades":7,"net_pnl_usdt":"12.345","trials":null}'
    inbox.finish(backtest, "done", detail=detail, at_ms=TO_MS)
    page.wait_for("document.getElementById('jobs').textContent.includes('7 trades, +12.35 USDT; fsm show autumn')")
    page.picture("page-runs-jobs")
    for width in (2_560, 375):
        page.resize(width)
        page.wait_for(f"document.documentElement.scrollWidth <= {width}")
        assert barriers(page) == []
    page.assert_quiet(address)


@needs_chromium
def test_where_jobs_are_off_the_page_says_so(page: Page, show: Show, address: str) -> None:
    show.document("config", config(jobs=False))
    come_in(page, address, "/runs")
    page.wait_for("document.getElementById('jobs-note').textContent.includes('web.jobs')")
    assert page.run("document.getElementById('job-form').hidden")
