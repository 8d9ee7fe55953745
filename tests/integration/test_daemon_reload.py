"""Edits of rules and settings while the bot runs: taken up, refused, and never in the middle of a trade (R49)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsm.core.engine import Engine
from fsm.live.operator.reload import Reload
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import RULES, TO_SIGNAL, jump, quiet, triggers
from rules.load import parse_rules
from store import queries
from store.database import open_store

Make = Callable[..., InProcessBot]
ROOT = Path(__file__).parents[2]
BTC = 60_000.0
TOP = BTC * 1.01
MARKET = [jump(BTC), *quiet(TOP, 2), (TOP, TOP, BTC * 0.998, TOP), *quiet(TOP, 2), jump(TOP), *quiet(TOP * 1.01, 3)]
DEAF = RULES.replace("close_1h > 1.008 * open_1h", "close_1h > 1.5 * open_1h")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {"rules": tmp_path / "rules.yaml", "config": tmp_path / "config.yaml"}
    paths["rules"].write_text(RULES)
    paths["config"].write_text((ROOT / "config.yaml").read_text("utf-8"))
    return paths


def watching(r: InProcessBot, files: dict[str, Path]) -> Reload:
    return Reload(r.running, config=r.config, config_path=files["config"], rules_path=files["rules"])


async def looked_twice(reload: Reload) -> None:
    """An edit is taken up when two looks have shown the same."""
    await reload.look()
    await reload.look()


def notes(r: InProcessBot) -> list[tuple[str, str]]:
    with open_store(r.db, mode="read") as store:
        rows = queries.system_events(store, limit=1000)
    return [(row.kind, row.reason) for row in rows if row.kind.startswith("RELOAD")]


def test_new_rules_hold_from_the_next_close_and_an_open_trade_keeps_its_own(
    rehearse: Make, files: dict[str, Path]
) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = watching(r, files)
        await r.hours(TO_SIGNAL + 0.5)
        files["rules"].write_text(DEAF)
        await looked_twice(reload)
        live = r.running.live
        assert live.active.rules.hash == parse_rules(DEAF, "x").hash
        assert live.engine.context("BTCUSDT").rules_hash == r.rules.hash, "the trade keeps its rules"
        await r.hours(8)
        assert live.engine.context("BTCUSDT").rules_hash == live.active.rules.hash

    r.run(script)
    assert notes(r) == [("RELOAD", "RULES")]
    assert sum(row.startswith("signal") for row in triggers(r)) == 1
    with open_store(r.db, mode="read") as store:
        assert len(queries.rule_versions(store)) == 2


def test_a_bad_file_changes_nothing_and_says_so(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = watching(r, files)
        files["rules"].write_text("version: 1\nnonsense")
        await looked_twice(reload)
        await looked_twice(reload)
        assert r.running.live.active.rules.hash == r.rules.hash
        await r.hours(TO_SIGNAL + 0.5)

    r.run(script)
    assert notes(r) == [("RELOAD_REFUSED", "rules.yaml")]
    assert "protect STOP_CONFIRMED" in triggers(r)


def test_settings_that_may_change_do_and_the_others_wait(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = watching(r, files)
        text = files["config"].read_text("utf-8")
        files["config"].write_text(text.replace("risk_per_trade_pct: 0.5  ", "risk_per_trade_pct: 0.25  "), "utf-8")
        await looked_twice(reload)
        live = r.running.live
        assert str(live.engine.policy.risk.risk_per_trade_pct) == "0.25"
        assert live.active.symbols == ("BTCUSDT",), "symbols wait for a restart"
        await r.hours(TO_SIGNAL + 0.5)
        trade = live.engine.record("BTCUSDT").trade
        assert trade is not None
        assert trade.risk_usdt <= 25

    r.run(script)
    assert notes(r) == [("RELOAD", "CONFIG")]


def test_rules_are_exchanged_between_two_closes_and_never_within_one(
    rehearse: Make, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R53: facts that the old rules read must not be decided on by the new ones."""
    r = rehearse(BTCUSDT=MARKET)
    held: list[bool] = []
    consider = Engine.precompute

    def seen(engine: Engine, *given: Any, **named: Any) -> Any:
        held.append(r.running.schedule.turn.locked())
        return consider(engine, *given, **named)

    monkeypatch.setattr(Engine, "precompute", seen)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = watching(r, files)
        await r.hours(2)
        files["rules"].write_text(DEAF)
        async with r.running.schedule.turn:  # as a close holds it
            taking = asyncio.create_task(looked_twice(reload))
            await r.seconds(5)
            assert r.running.live.active.rules.hash == r.rules.hash
        await taking
        assert r.running.live.active.rules.hash == parse_rules(DEAF, "x").hash

    r.run(script)
    assert held
    assert all(held)
