"""R77, R82 as a user meets them: walks of docs/time-and-transfers.md and docs/hands-and-messages.md, everything a
process of its own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fsm.proofs.testkit.scripted_market import jump, quiet
from store import queries
from tests.integration.walking import BTC, CONFIG, ETH, HOUR_MS, PATIENCE_S, SYMBOL, TOP, Walk, walk

OTHER = "ETHUSDT"
MINUTE_MS = 60_000
READ_EACH_SECOND = "loops: {equity_interval_ms: 1000}\n"
GONE = "1,000.00 USDT are gone"
LATER = {SYMBOL: [jump(BTC), *quiet(TOP, 6)], OTHER: [*quiet(ETH, 1), jump(ETH), *quiet(ETH * 1.01, 5)]}
"""A signal of the one, and an hour later of the other."""


def is_open(walking: Walk, symbol: str = SYMBOL) -> bool:
    record = walking.bot.records().get(symbol)
    return record is not None and record.trade is not None


async def says(walking: Walk, *words: str, code: int = 0) -> str:
    """What a command prints that ends with this code."""
    found, text = await walking.type(*words)
    assert found == code, text
    return text


async def comes_to_say(walking: Walk, part: str, *words: str) -> str:
    """The same, typed until it says this: what commands read of a bot it leaves for them every few seconds."""
    until_s = time.monotonic() + PATIENCE_S
    while part not in (text := await says(walking, *words)):
        assert time.monotonic() < until_s, text
    return text


# --- transfers --------------------------------------------------------------------------------
async def withdraw(walking: Walk, late_ms: int) -> None:
    """A tenth of the account, which the ledger does not show before its time."""
    walking.sets(transfer_delay_ms=late_ms)
    await walking.bot.simulation.act(action="withdraw", amount="1000")
    await walking.hears(GONE)


def explained(walking: Walk) -> bool:
    return any(row.kind == "EQUITY_EXPLAINED" for row in queries.system_events(walking.bot.store, limit=50))


@pytest.mark.slow
def test_a_withdrawal_that_the_ledger_shows_late_closes_nothing(tmp_path: Path) -> None:
    """LIMIT_DAY closed three positions seconds before the marks were moved after all."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await walking.bot.simulation.advance(HOUR_MS - MINUTE_MS // 2)
        await withdraw(walking, MINUTE_MS)
        limits = await comes_to_say(walking, "1,000.00 USDT are gone and not explained yet", "limits")
        assert "LIMIT_DAY" not in limits
        await walking.bot.simulation.advance(MINUTE_MS // 2)
        walking.closes += 1
        await walking.decided()
        assert "EQUITY_UNEXPLAINED" in await says(walking, "why", OTHER)
        assert not is_open(walking, OTHER)
        await walking.bot.simulation.advance(MINUTE_MS)
        await walking.bot.until(lambda: explained(walking), "find the transfer in the ledger")
        await comes_to_say(walking, "entries                   allowed", "limits")
        assert SYMBOL in (await walking.at_rest()).stops()
        assert not walking.told("daily loss")
        assert is_open(walking)

    config = f"{CONFIG}limits: {{daily_loss_pct: 2.0, action: FLATTEN}}\n{READ_EACH_SECOND}"
    walk(tmp_path, story, config=config, hours=LATER)


@pytest.mark.slow
def test_a_limit_that_a_withdrawal_hit_in_the_end_is_taken_back_and_said(tmp_path: Path) -> None:
    """After two minutes without a word it counts as a loss; the ledger shows it in the fifth. The halt stayed."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await withdraw(walking, 4 * MINUTE_MS)
        await walking.bot.simulation.advance(2 * MINUTE_MS + 5_000)
        await walking.hears("The loss limit of the day was hit: 1,00", "200.00 USDT are allowed")
        await comes_to_say(walking, "halted for LIMIT_DAY", "limits")
        await walking.bot.simulation.advance(3 * MINUTE_MS)
        await walking.hears("The loss limit of the day is taken back: a transfer had hit it")
        await comes_to_say(walking, "entries                   allowed", "limits")
        assert SYMBOL in (await walking.at_rest()).stops()

    walk(tmp_path, story, config=f"{CONFIG}limits: {{daily_loss_pct: 2.0}}\n{READ_EACH_SECOND}")


# --- commands that were left ------------------------------------------------------------------
def test_commands_that_are_left_while_no_bot_runs_are_listed_withdrawn_and_told_at_the_start(tmp_path: Path) -> None:
    """Nothing said at a start that they waited, and none could be withdrawn."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await walking.stop()
        for words in (("pause",), ("halt",), ("flatten", SYMBOL)):
            assert "no bot is running; it is kept" in await says(walking, *words)
        assert "halt of all symbols was withdrawn" in await says(walking, "commands", "cancel", "2")
        listed = await says(walking, "commands", "list")
        assert listed.count("waits for a bot") == 2
        await walking.start()
        await walking.hears(
            "Commands were left while no bot ran, and are answered now: pause all (1), flatten BTCUSDT (3)."
        )
        await walking.hears("flatten BTCUSDT: done. Flat: BTCUSDT HALT")
        listed = await says(walking, "commands", "list")
        assert "halt all (cli)  refused by CANCELLED: withdrawn by the operator" in listed
        assert "pause all (cli)  done" in listed
        assert (await walking.bot.simulation.shown()).held() == {}
        assert "already" in await says(walking, "commands", "cancel", "3", code=3)

    walk(tmp_path, story)
