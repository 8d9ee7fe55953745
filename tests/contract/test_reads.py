"""Questions: market data, account, ledger, and the look that shows a symbol whole."""

from __future__ import annotations

import asyncio
import itertools
from decimal import Decimal
from urllib.parse import urlsplit

import pytest

from exchange.client_ids import Leg
from exchange.sim.server.launch import Launched
from exchange.types import Confirmed, LookRequest, MarginType, Refused, Side
from indicators.candle import Timeframe
from tests.contract.grounds import BEGIN_MS, BTC, ETH, HOUR_MS, Ground
from tests.contract.requests import limit, market, new_id, stop, target

pytestmark = pytest.mark.anyio


async def test_the_time_is_the_exchanges(ground: Ground) -> None:
    before_ms = await ground.now_ms()
    assert await ground.exchange.server_time_ms() == before_ms
    await ground.advance(1_234)
    assert await ground.exchange.server_time_ms() == before_ms + 1_234


async def test_filters_brackets_and_rates_are_those_of_the_symbol(ground: Ground) -> None:
    filters = await ground.exchange.filters()
    assert filters[BTC].tick_size == Decimal("0.10")
    assert filters[BTC].notional_min == Decimal(50)
    brackets = await ground.exchange.brackets(BTC)
    assert [row.bracket for row in brackets] == list(range(1, len(brackets) + 1))
    assert brackets[0].notional_floor == 0
    assert all(low.notional_cap == high.notional_floor for low, high in itertools.pairwise(brackets))
    assert await ground.exchange.commission_rates(BTC) == (Decimal("0.0002"), Decimal("0.0005"))
    assert (await ground.exchange.account_modes()).unsupported == ()


async def test_mark_and_last_price_are_told_apart(ground: Ground) -> None:
    await ground.price("60100.5", mark="60050.3")
    price = await ground.exchange.mark_price(BTC)
    assert (price.symbol, price.last_price, price.mark_price) == (BTC, Decimal("60100.5"), Decimal("60050.3"))
    assert price.time_ms == await ground.now_ms()


async def test_a_price_between_two_ticks_is_told_as_the_nearest_that_can_be_traded(ground: Ground) -> None:
    await ground.price("60100.56", mark="60050.123456789")
    price = await ground.exchange.mark_price(BTC)
    assert (price.last_price, price.mark_price) == (Decimal("60100.6"), Decimal("60050.12345679"))


async def test_prices_of_several_symbols_are_those_of_each_and_an_unknown_one_is_left_out(ground: Ground) -> None:
    await ground.price("60100.5", mark="60050.3")
    prices = await ground.exchange.mark_prices([BTC, ETH, "NOSUCHUSDT"])
    assert prices == {symbol: await ground.exchange.mark_price(symbol) for symbol in (BTC, ETH)}


async def test_what_was_traded_in_a_day_is_told_of_every_symbol(ground: Ground) -> None:
    told = await ground.exchange.day_volumes()
    assert {BTC, ETH} <= set(told.quote)
    assert told.unread == ()
    hours = await ground.exchange.candles(BTC, Timeframe.H1, limit=24)
    assert float(told.quote[BTC]) == pytest.approx(sum(hour.volume * hour.close for hour in hours), rel=0.1)


@pytest.mark.parametrize("timeframe", [Timeframe.H1, Timeframe.H4, Timeframe.D1])
async def test_r33_candles_are_closed_ascending_and_whole(ground: Ground, timeframe: Timeframe) -> None:
    now_ms = await ground.now_ms()
    candles = await ground.exchange.candles(BTC, timeframe, limit=20)
    closed_ms = timeframe.floor(now_ms)
    assert [candle.open_time_ms for candle in candles] == [closed_ms - n * timeframe.ms for n in range(20, 0, -1)]
    hours = timeframe.ms // HOUR_MS
    first = (candles[0].open_time_ms - BEGIN_MS) // HOUR_MS + 1
    assert candles[0].volume == sum(range(first, first + hours))


async def test_r33_a_candle_appears_when_its_hour_is_over_and_not_before(ground: Ground) -> None:
    now_ms = await ground.now_ms()
    left_ms = HOUR_MS - now_ms % HOUR_MS
    await ground.advance(left_ms - 1)
    [last] = await ground.exchange.candles(BTC, Timeframe.H1, limit=1)
    assert last.open_time_ms == Timeframe.H1.floor(now_ms) - HOUR_MS
    await ground.advance(1)
    [last] = await ground.exchange.candles(BTC, Timeframe.H1, limit=1)
    assert last.open_time_ms == Timeframe.H1.floor(now_ms)


async def test_candles_are_paged_from_a_time_on_and_stop_at_the_closed_ones(ground: Ground) -> None:
    now_ms = await ground.now_ms()
    some = await ground.exchange.candles(BTC, Timeframe.H1, start_ms=BEGIN_MS + 1, limit=3)
    assert [candle.open_time_ms for candle in some] == [BEGIN_MS + n * HOUR_MS for n in (1, 2, 3)]
    whole = await ground.exchange.candles(BTC, Timeframe.H1, start_ms=BEGIN_MS, limit=5_000)
    closed = (Timeframe.H1.floor(now_ms) - BEGIN_MS) // HOUR_MS
    assert [candle.volume for candle in whole] == [float(n + 1) for n in range(closed)]
    newest = await ground.exchange.candles(BTC, Timeframe.H1, limit=1_600)
    assert newest == whole[-1_600:]


async def test_margin_type_and_leverage_are_read_and_written_only_if_different(ground: Ground) -> None:
    for margin_type, leverage in ((MarginType.ISOLATED, 7), (MarginType.ISOLATED, 7), (MarginType.CROSSED, 20)):
        assert isinstance(await ground.exchange.ensure_margin_type(ETH, margin_type), Confirmed)
        assert isinstance(await ground.exchange.ensure_leverage(ETH, leverage), Confirmed)
        config = await ground.exchange.symbol_config(ETH)
        assert (config.symbol, config.margin_type, config.leverage) == (ETH, margin_type, leverage)


async def test_r44_settings_that_cannot_be_changed_are_refused_by_code(ground: Ground) -> None:
    async def refused(outcome: object) -> int:
        assert isinstance(outcome, Refused)
        return outcome.code

    assert await refused(await ground.exchange.ensure_leverage(BTC, 151)) == -4028
    await ground.exchange.place_order(limit(Side.BUY, "0.010", "59000"))
    assert await refused(await ground.exchange.ensure_margin_type(BTC, MarginType.ISOLATED)) == -4047
    await ground.exchange.cancel_all(BTC)
    await ground.exchange.place_order(market(Side.BUY, "0.010"))
    assert await refused(await ground.exchange.ensure_margin_type(BTC, MarginType.ISOLATED)) == -4048
    assert isinstance(await ground.exchange.ensure_margin_type(BTC, MarginType.CROSSED), Confirmed)


async def test_r37_equity_is_wallet_and_unrealised_profit_of_one_answer(ground: Ground) -> None:
    await ground.exchange.place_order(market(Side.BUY, "0.100"))
    await ground.price("61000")
    account = await ground.exchange.account()
    [position] = await ground.exchange.positions(BTC)
    assert position.unrealized_pnl == (61_000 - position.entry_price) * position.quantity
    assert account.unrealized_pnl == position.unrealized_pnl
    assert account.equity == account.wallet_balance + account.unrealized_pnl
    assert account.available_balance < account.equity
    assert account.update_time_ms == await ground.now_ms()


async def test_a_deposit_is_in_the_ledger_and_in_the_wallet(ground: Ground) -> None:
    before, now_ms = (await ground.exchange.account()).wallet_balance, await ground.now_ms()
    await ground.deposit("250.5")
    assert (await ground.exchange.account()).wallet_balance == before + Decimal("250.5")
    [*_, row] = await ground.exchange.income(start_ms=now_ms)
    assert (row.income_type, row.income, row.asset) == ("TRANSFER", Decimal("250.5"), "USDT")


async def test_r43_what_the_ledger_says_is_what_the_fills_say(ground: Ground) -> None:
    await ground.advance(1)
    now_ms, wallet = await ground.now_ms(), (await ground.exchange.account()).wallet_balance
    await ground.exchange.place_order(market(Side.SELL, "0.010"))
    await ground.price("59000")
    await ground.exchange.place_order(market(Side.BUY, "0.010", reduce_only=True))
    fills = await ground.exchange.fills(BTC, start_ms=now_ms)
    income = await ground.exchange.income(start_ms=now_ms, symbol=BTC)
    assert {row.income_type for row in income} == {"COMMISSION", "REALIZED_PNL"}
    earned = sum((fill.realized_pnl - fill.commission for fill in fills), Decimal(0))
    assert sum((row.income for row in income), Decimal(0)) == earned
    assert (await ground.exchange.account()).wallet_balance == wallet + earned


async def test_fills_and_income_are_complete_beyond_one_page(ground: Ground) -> None:
    await ground.advance(1)
    await ground.depth("60")
    start_ms = await ground.now_ms()
    placed = []
    for side in (Side.BUY, Side.SELL) * 3:
        await ground.advance(1)
        outcome = await ground.exchange.place_order(market(side, "0.200"))
        assert isinstance(outcome, Confirmed)
        assert outcome.order is not None
        placed.append(outcome.order)
    fills = await ground.exchange.fills(BTC, start_ms=start_ms)
    assert len(fills) == 1_200
    assert [fill.fill_id for fill in fills] == sorted({fill.fill_id for fill in fills})
    assert {fill.order_id for fill in fills} == {order.order_id for order in placed}
    assert await ground.exchange.fills(BTC, after_fill_id=fills[9].fill_id) == fills[10:]
    assert await ground.exchange.fills(BTC, after_fill_id=fills[-1].fill_id) == []
    assert await ground.exchange.fills(ETH, after_fill_id=fills[0].fill_id) == []
    income = await ground.exchange.income(start_ms=start_ms, symbol=BTC)
    commissions = [row for row in income if row.income_type == "COMMISSION"]
    assert len(commissions) == 1_200
    assert -sum((row.income for row in commissions), Decimal(0)) == sum((f.commission for f in fills), Decimal(0))
    half = await ground.exchange.income(start_ms=start_ms, end_ms=start_ms + 2, symbol=BTC)
    assert len([row for row in half if row.income_type == "COMMISSION"]) == 400


async def test_a_look_at_a_flat_symbol_shows_nothing(ground: Ground) -> None:
    snapshot = await ground.exchange.look(BTC, LookRequest())
    assert (snapshot.symbol, snapshot.at_ms) == (BTC, await ground.now_ms())
    assert snapshot.position is None or snapshot.position.quantity == 0
    assert (snapshot.orders, snapshot.algo_orders, snapshot.fills, snapshot.income) == ((), (), (), ())
    assert snapshot.account is None


async def test_a_look_shows_the_symbol_whole(ground: Ground) -> None:
    await ground.advance(1)
    now_ms = await ground.now_ms()
    entry, resting = market(Side.BUY, "0.010"), limit(Side.BUY, "0.010", "59000")
    protection, goal = stop(Side.SELL, "58000"), target(Side.SELL, "62000", "0.004")
    await ground.exchange.place_order(entry)
    await ground.exchange.place_order(resting)
    await ground.exchange.place_algo(protection)
    await ground.exchange.place_algo(goal)
    never = new_id(Leg.STOP)
    request = LookRequest(
        tracked=(entry.client_id, protection.client_id, never),
        fills_start_ms=now_ms,
        income_start_ms=now_ms,
        with_account=True,
    )
    snapshot = await ground.exchange.look(BTC, request)
    assert snapshot.position is not None
    assert snapshot.position.quantity == Decimal("0.010")
    assert {order.client_id for order in snapshot.orders} == {entry.client_id, resting.client_id}
    assert {algo.client_id for algo in snapshot.algo_orders} == {protection.client_id, goal.client_id}
    assert [fill.quantity for fill in snapshot.fills] == [Decimal("0.010")]
    assert {row.income_type for row in snapshot.income} >= {"COMMISSION"}
    assert snapshot.account is not None
    assert snapshot.account.equity == snapshot.account.wallet_balance + snapshot.account.unrealized_pnl


async def test_a_look_still_finds_a_stop_that_has_fired(ground: Ground) -> None:
    await ground.exchange.place_order(market(Side.BUY, "0.010"))
    protection = stop(Side.SELL, "58000")
    await ground.exchange.place_algo(protection)
    [*_, before] = await ground.exchange.fills(BTC)
    await ground.price("57900")
    request = LookRequest(tracked=(protection.client_id,), fills_after_id=before.fill_id)
    snapshot = await ground.exchange.look(BTC, request)
    [fired] = snapshot.algo_orders
    assert fired.actual_order_id == snapshot.fills[0].order_id
    assert snapshot.position is None or snapshot.position.quantity == 0


async def test_an_answer_does_not_wait_for_an_acknowledgement(simulator: Launched) -> None:
    """Head and body of an answer leave in two writes; Nagle's algorithm would hold the second one for 40 ms."""
    host, port = urlsplit(simulator.rest).netloc.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    began_s = asyncio.get_running_loop().time()
    for _ in range(50):
        writer.write(f"GET /fapi/v1/ping HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"{}"
    took_s = asyncio.get_running_loop().time() - began_s
    writer.close()
    await writer.wait_closed()
    assert took_s < 50 * 0.030
