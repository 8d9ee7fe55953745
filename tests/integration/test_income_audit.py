"""Every UTC day the journal's sums are compared with the income that the exchange reports (R43)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from exchange.sim.core.ledger import IncomeType
from exchange.types import OrderRequest, OrderType, Side
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet
from store import queries
from store.database import open_store

Make = Callable[..., InProcessBot]
BTC = 60_000.0
HOUR_MS = 3_600_000
TOP = BTC * 1.01
STOPPED = [jump(BTC), *quiet(TOP, 2), (TOP, TOP, BTC * 0.998, TOP), *quiet(TOP, 60)]


def days(r: InProcessBot) -> list[tuple[str, dict[str, Any]]]:
    """(MATCH or MISMATCH, what was compared) of each day, oldest first."""
    with open_store(r.db, mode="read") as store:
        rows = queries.system_events(store, kind="BOOKKEEPING", limit=1_000)
    return [(row.reason, msgspec.json.decode(row.facts_json)) for row in sorted(rows, key=lambda row: row.id)]


def told(r: InProcessBot) -> list[str]:
    with open_store(r.db, mode="read") as store:
        return [row.text for row in queries.alerts(store, limit=1_000) if row.kind == "bookkeeping_mismatch"]


def traded_day(r: InProcessBot) -> tuple[str, dict[str, Any]]:
    (found,) = [(reason, facts) for reason, facts in days(r) if facts["trades"]]
    return found


async def through_the_trade(r: InProcessBot) -> None:
    await r.start()
    await r.hours(TO_SIGNAL + 6)


async def to_the_next_days(r: InProcessBot) -> None:
    await r.hours(26)
    await r.seconds(60)


def test_a_day_with_a_trade_agrees_to_the_last_digit(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=STOPPED)

    async def script(r: InProcessBot) -> None:
        await through_the_trade(r)
        await to_the_next_days(r)

    r.run(script)
    reason, facts = traded_day(r)
    assert reason == "MATCH"
    assert facts["journal"] == facts["exchange"]
    assert Decimal(facts["journal"]["USDT"]) < 0
    dates = [facts["day"] for _, facts in days(r)]
    assert dates == sorted(set(dates)), "each day once"
    assert told(r) == []


def test_an_amount_that_only_the_exchange_has_is_a_mismatch_row_and_an_alert(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=STOPPED)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(TO_SIGNAL + 1.5)
        r.venue.state.ledger.post(
            IncomeType.REALIZED_PNL, Decimal("-0.5"), symbol="BTCUSDT", at_ms=r.venue.now_ms, trade_id=99
        )
        await r.hours(4.5)
        await to_the_next_days(r)

    r.run(script)
    reason, facts = traded_day(r)
    assert reason == "MISMATCH"
    assert Decimal(facts["exchange"]["USDT"]) - Decimal(facts["journal"]["USDT"]) == Decimal("-0.5")
    (text,) = told(r)
    assert "BTCUSDT-1" in text


def test_days_that_were_missed_are_compared_at_the_next_start_and_none_twice(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=STOPPED)

    async def script(r: InProcessBot) -> None:
        await through_the_trade(r)
        await r.stop()
        await r.until(r.venue.now_ms + 50 * 3_600_000)
        await r.start()
        await r.seconds(60)
        await r.restart()
        await r.seconds(60)

    r.run(script)
    dates = [facts["day"] for _, facts in days(r)]
    assert len(dates) >= 2
    assert dates == sorted(set(dates))
    assert traded_day(r)[0] == "MATCH"


def test_commission_in_bnb_is_converted_at_the_price_of_the_fill_and_is_no_mismatch(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=STOPPED)

    async def script(r: InProcessBot) -> None:
        state = r.venue.state
        state.settings = msgspec.structs.replace(state.settings, bnb_price=Decimal(600))
        await through_the_trade(r)
        await to_the_next_days(r)

    r.run(script)
    reason, facts = traded_day(r)
    assert reason == "MATCH"
    in_bnb = Decimal(facts["journal"]["BNB"])
    assert in_bnb < 0
    assert Decimal(facts["converted_usdt"]) == -in_bnb * 600
    with open_store(r.db, mode="read") as store:
        (trade,) = queries.trades(store)
    assert trade.fees == Decimal(facts["converted_usdt"])
    assert trade.flagged is None, "nothing is estimated where the price is known"


def by_hand(r: InProcessBot) -> None:
    """In and out again."""
    for side in (Side.BUY, Side.SELL):
        r.venue.place_order(
            OrderRequest(
                symbol="BTCUSDT",
                side=side,
                type=OrderType.MARKET,
                quantity=Decimal("0.01"),
                client_id=f"by-hand-{side.value}",
                reduce_only=side is Side.SELL,
            )
        )


def test_what_was_traded_by_hand_before_a_trade_began_is_no_part_of_it(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=STOPPED)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.until(r.start_ms + round((TO_SIGNAL - 0.05) * HOUR_MS))
        by_hand(r)
        await r.hours(7)
        await to_the_next_days(r)

    r.run(script)
    reason, facts = traded_day(r)
    assert (reason, facts["wrong"]) == ("MATCH", [])
    assert Decimal(facts["other"]["USDT"]) < 0
    with open_store(r.db, mode="read") as store:
        (trade,) = queries.trades(store)
        assert len(queries.fills(store, limit=100)) == 4
        assert len(queries.fills(store, trade_id=trade.id, limit=100)) == 2


def test_transfers_and_what_was_traded_by_hand_are_told_apart(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=STOPPED)

    async def script(r: InProcessBot) -> None:
        await through_the_trade(r)
        r.venue.deposit(Decimal(250))
        by_hand(r)
        await to_the_next_days(r)

    r.run(script)
    assert {reason for reason, _ in days(r)} == {"MATCH"}
    facts = [facts for _, facts in days(r) if facts["transfers"]]
    assert [Decimal(row["transfers"]["USDT"]) for row in facts] == [250]
    assert Decimal(facts[0]["other"]["USDT"]) < 0
    assert told(r) == []
