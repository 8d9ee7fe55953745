"""Small steps in the running bot: when they begin, that nothing but the operator ends them early, and what is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fsm.config import Config, load_config
from fsm.core.model.policy import SmallStepsPolicy
from fsm.core.model.records import SmallSteps
from fsm.journal.replay import replay
from fsm.live.process import newness
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet
from store import queries
from store.database import open_store
from store.inbox import Inbox

Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01
OPEN = [jump(BTC), *quiet(TOP, 20)]
ALWAYS = {"where": "always"}


def steps(r: InProcessBot) -> SmallSteps | None:
    return r.running.live.engine.account.steps


async def told(r: InProcessBot, command: str) -> str:
    number = Inbox(r.running.live.journal.store).post(command, None, "cli", r.clock.wall_ms())
    await r.clock.sleep(1.0)
    found = Inbox(r.running.live.journal.store).get(number)
    assert found is not None
    return f"{found.state} {found.guard or ''}".strip()


def test_the_first_trade_on_a_database_is_the_smallest_and_its_journal_decides_again_the_same(rehearse: Make) -> None:
    async def script(r: InProcessBot) -> None:
        await r.start()
        found = steps(r)
        assert found is not None
        assert (found.cause, found.done) == ("FIRST_START", 0)
        await r.hours(TO_SIGNAL + 0.5)
        (position,) = r.venue.positions()
        assert abs(position.quantity) * position.entry_price < 150
        assert len([algo for algo in r.venue.open_algos() if algo.type == "TAKE_PROFIT_MARKET"]) <= 1

    r = rehearse(BTCUSDT=OPEN, small_steps=ALWAYS)
    r.run(script)
    assert replay(r.db).differences == ()
    with open_store(r.db, mode="read") as store:
        assert any("as small as the exchange allows" in row.text for row in queries.alerts(store))


def test_a_restart_neither_begins_nor_forgets_them_and_another_release_begins_them(
    rehearse: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(r: InProcessBot) -> None:
        await r.start()
        begun = steps(r)
        await r.hours(1.0)
        await r.restart()
        assert steps(r) == begun
        monkeypatch.setattr(newness, "version", lambda name: "9.9.9")
        monkeypatch.setattr("fsm.live.process.assembly.release", newness.release)
        await r.restart()
        after = steps(r)
        assert after is not None
        assert after.cause == "UPGRADE"
        await r.restart()
        assert steps(r) == after

    rehearse(BTCUSDT=OPEN, small_steps=ALWAYS).run(script)


def test_files_that_allow_more_at_a_start_begin_them_and_stricter_ones_do_not(rehearse: Make, tmp_path: Path) -> None:
    def risking(pct: str) -> Config:
        path = tmp_path / "config.yaml"
        path.write_text(
            "version: 1\nsymbols: {BTCUSDT: {enabled: true}}\nsmall_steps: {where: always}\n"
            f"risk: {{risk_per_trade_pct: {pct}}}\n",
            "utf-8",
        )
        return load_config(path, None, {"BINANCE_ENV": "sim"})

    async def script(r: InProcessBot) -> None:
        r.config = risking("0.5")
        await r.start()
        assert await told(r, "full-size") == "done"
        assert steps(r) is None
        assert await told(r, "full-size") == "refused NO_SMALL_STEPS"
        for pct, begins in (("0.4", False), ("0.5", True)):
            r.config = risking(pct)
            await r.restart()
            assert (steps(r) is not None) is begins

    rehearse(BTCUSDT=OPEN).run(script)


def test_they_are_off_where_config_does_not_want_them(rehearse: Make) -> None:
    async def script(r: InProcessBot) -> None:
        await r.start()
        assert steps(r) is None

    rehearse(BTCUSDT=OPEN).run(script)
    assert SmallStepsPolicy().where == "mainnet"
