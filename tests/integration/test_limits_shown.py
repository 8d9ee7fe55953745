"""`limits` beside a daemon that trades: what is used and left, what was hit, and how that ends (R34)."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from click.testing import CliRunner

from fsm.cli.app import app
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet
from store.database import open_store
from store.inbox import Inbox

Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01
STOPPED = [jump(BTC), *quiet(TOP, 2), (TOP, TOP, BTC * 0.998, TOP), *quiet(TOP, 4)]


def shown(r: InProcessBot, *args: str) -> str:
    ended = CliRunner().invoke(app, ["limits", "--db", str(r.db), *args])
    assert ended.exit_code == 0, ended.stderr
    return ended.stdout


def budgets(r: InProcessBot) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(shown(r, "--json"))["budgets"]}


def test_each_budget_is_shown_with_what_a_position_and_its_loss_take_from_it(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=STOPPED)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(TO_SIGNAL + 0.5)
        await r.seconds(10)
        held = budgets(r)
        portfolio = r.running.live.engine.portfolio()
        assert held["open_positions"]["used"] == "1"
        assert Decimal(held["open_risk"]["used"]) == portfolio.open_risk > 0
        await r.hours(4)
        await r.seconds(20)
        after = budgets(r)
        assert after["open_positions"]["used"] == "0"
        lost = r.config.settings.simulation.balance_usdt - r.venue.account().wallet_balance
        assert lost > 0
        for name in ("LIMIT_DAY", "LIMIT_WEEK", "LIMIT_MONTH", "LIMIT_DRAWDOWN"):
            row = after[name]
            assert Decimal(row["left"]) == Decimal(row["allowed"]) - Decimal(row["used"])
            assert Decimal(row["used"]) >= lost
        text = shown(r)
        assert "entries                   allowed" in text
        assert "BLOCK_ENTRIES" in text

    r.run(script)


def test_a_limit_that_was_hit_and_a_pause_are_named_with_how_they_end(rehearse: Make) -> None:
    """R34."""
    r = rehearse(BTCUSDT=STOPPED, limits={"daily_loss_pct": Decimal("0.1")})

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(TO_SIGNAL + 4.5)
        with open_store(r.db, mode="post") as store:
            Inbox(store).post("pause", None, "test", r.venue.now_ms)
        await r.seconds(20)
        assert budgets(r)["LIMIT_DAY"]["exceeded"] is True
        text = shown(r)
        assert "halted for LIMIT_DAY since" in text
        assert "the end of the day" in text
        assert "paused by the operator" in text
        assert " HIT" in text

    r.run(script)
