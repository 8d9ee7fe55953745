"""Fills and income are read completely, whichever end of a full page is cut off."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from exchange.binance.client import BinanceClient
from exchange.errors import MalformedReply, Unreachable

pytestmark = pytest.mark.anyio
TRADES, INCOME = "GET /fapi/v1/userTrades", "GET /fapi/v1/income"
NOW = 1_764_000_000_000
DAY = 86_400_000


def _trade(fill_id: int, time_ms: int) -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "id": fill_id, "orderId": 5, "side": "BUY", "price": "1", "qty": "1", "time": time_ms}


def _serve(answer: Any, rows: list[dict[str, Any]], *, newest_first_cut: bool = False) -> Callable[[Any], Any]:
    """Serves rows by window or by id, at most 1000 of them, cut at either end."""

    def respond(asked: Any) -> Any:
        params = asked.params
        if "fromId" in params:
            assert "startTime" not in params
            found = [row for row in rows if row["id"] >= int(params["fromId"])][:1000]
        else:
            start, end = int(params["startTime"]), int(params["endTime"])
            assert end - start < 7 * DAY, "the window is at most 7 days"
            assert start >= NOW - 90 * DAY, "older rows are gone"
            found = [row for row in rows if start <= row["time"] <= end]
            found = found[-1000:] if newest_first_cut else found[:1000]
        return answer(found)

    return respond


@pytest.mark.parametrize("newest_first_cut", [False, True])
async def test_more_fills_than_fit_a_page_are_all_read_once(
    exchange: Any, client: BinanceClient, answer: Any, newest_first_cut: bool
) -> None:
    rows = [_trade(n, NOW - 3 * DAY + n * 7) for n in range(3_500)]
    exchange.on(TRADES, _serve(answer, rows, newest_first_cut=newest_first_cut))
    fills = await client.fills("BTCUSDT", start_ms=NOW - 10 * DAY)
    assert [fill.fill_id for fill in fills] == list(range(3_500))


async def test_fills_after_an_id_are_read_by_id_to_the_end(exchange: Any, client: BinanceClient, answer: Any) -> None:
    rows = [_trade(n * 3, NOW - DAY + n) for n in range(2_100)]
    exchange.on(TRADES, _serve(answer, rows))
    fills = await client.fills("BTCUSDT", after_fill_id=300)
    assert [fill.fill_id for fill in fills] == [n * 3 for n in range(101, 2_100)]
    assert await client.fills("BTCUSDT", after_fill_id=10**9) == []


@pytest.mark.parametrize("after", [{"after_fill_id": 0}, {"start_ms": NOW - 2 * DAY}])
async def test_a_fill_of_nothing_is_none_whatever_its_id(
    exchange: Any, client: BinanceClient, answer: Any, after: dict[str, int]
) -> None:
    """The next fills were asked for behind its id, and a trade never found those that closed it."""
    rows = [_trade(1, NOW - DAY), {**_trade(10**9, NOW - DAY), "qty": "0"}]
    exchange.on(TRADES, _serve(answer, rows))
    assert [fill.fill_id for fill in await client.fills("BTCUSDT", **after)] == [1]


async def test_without_a_cursor_the_last_seven_days_are_read(exchange: Any, client: BinanceClient, answer: Any) -> None:
    exchange.on(TRADES, _serve(answer, [_trade(1, NOW - 8 * DAY), _trade(2, NOW - 6 * DAY)]))
    assert [fill.fill_id for fill in await client.fills("BTCUSDT")] == [2]


async def test_history_that_is_gone_is_not_asked_for(exchange: Any, client: BinanceClient, answer: Any) -> None:
    exchange.on(TRADES, _serve(answer, []))
    assert await client.fills("BTCUSDT", start_ms=0) == []
    assert len(exchange.calls(TRADES)) == 13


async def test_fills_at_or_before_the_cursor_are_malformed_and_do_not_loop(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(TRADES, [_trade(5, NOW)])
    with pytest.raises(MalformedReply, match="before id 9"):
        await client.fills("BTCUSDT", after_fill_id=9)


def _row(transaction: int, time_ms: int, kind: str = "COMMISSION", amount: str = "-0.1") -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT", "incomeType": kind, "income": amount, "asset": "USDT", "time": time_ms,
        "tranId": transaction, "tradeId": "",
    }  # fmt: skip


async def test_income_is_read_completely_and_the_sum_is_right(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    rows = [_row(n, NOW - 20 * DAY + n * 400_000) for n in range(2_500)]
    exchange.on(INCOME, _serve(answer, rows))
    found = await client.income(start_ms=NOW - 30 * DAY, end_ms=NOW, symbol="BTCUSDT")
    assert sum(row.income for row in found) == Decimal("-250.0")
    assert exchange.calls(INCOME)[0].params["symbol"] == "BTCUSDT"


async def test_rows_that_share_a_transaction_id_across_types_are_both_kept(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(INCOME, _serve(answer, [_row(7, NOW - 5), _row(7, NOW - 5, "REALIZED_PNL", "3")]))
    found = await client.income(start_ms=NOW - DAY)
    assert sorted(row.income_type for row in found) == ["COMMISSION", "REALIZED_PNL"]
    assert "symbol" not in exchange.calls(INCOME)[0].params


async def test_more_rows_in_one_millisecond_than_fit_a_page_are_an_error_not_a_loss(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(INCOME, _serve(answer, [_row(n, NOW - 5) for n in range(1_001)]))
    with pytest.raises(Unreachable, match="within millisecond"):
        await client.income(start_ms=NOW - DAY)


async def test_paging_that_does_not_converge_is_given_up(
    exchange: Any, client: BinanceClient, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.binance.ledger.REQUESTS_MAX", 5)
    exchange.on(INCOME, lambda asked: answer([_row(n, int(asked.params["startTime"])) for n in range(1_000)]))
    with pytest.raises(Unreachable, match="more than 5 requests"):
        await client.income(start_ms=NOW - DAY)
    exchange.on(TRADES, lambda asked: answer([_trade(int(asked.params["fromId"]) + n, 1) for n in range(1_000)]))
    with pytest.raises(Unreachable, match="more than 5 pages"):
        await client.fills("BTCUSDT", after_fill_id=0)


async def test_an_empty_span_asks_nothing(exchange: Any, client: BinanceClient, answer: Any) -> None:
    exchange.on(INCOME, _serve(answer, []))
    assert await client.income(start_ms=NOW, end_ms=NOW - 1) == []
    assert exchange.calls(INCOME) == []


async def test_an_exchange_that_does_not_know_from_id_shows_nothing_new(exchange: Any, client: BinanceClient) -> None:
    """It lists what is known with what is new; a list without the last one that we saw is another exchange's (R75)."""
    exchange.on(TRADES, [_trade(5, NOW), _trade(6, NOW)])
    assert await client.fills("BTCUSDT", after_fill_id=6) == []
    exchange.on(TRADES, [_trade(5, NOW), _trade(6, NOW), _trade(7, NOW)])
    assert [fill.fill_id for fill in await client.fills("BTCUSDT", after_fill_id=6)] == [7]
    exchange.on(TRADES, [_trade(5, NOW)])
    with pytest.raises(MalformedReply):
        await client.fills("BTCUSDT", after_fill_id=6)


async def test_rows_of_other_symbols_are_left_out(exchange: Any, client: BinanceClient) -> None:
    exchange.on(TRADES, [_trade(5, NOW), {**_trade(6, NOW), "symbol": "ETHUSDT"}])
    assert [fill.fill_id for fill in await client.fills("BTCUSDT", after_fill_id=4)] == [5]
