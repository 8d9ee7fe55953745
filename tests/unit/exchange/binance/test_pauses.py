"""R56, R84: what the client does when the exchange says "not now", or nothing; a real server sees each request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from exchange.binance import http as http_module
from exchange.binance.client import BinanceClient
from exchange.types import (
    AlgoRequest,
    ConditionalType,
    Confirmed,
    LookRequest,
    OrderRequest,
    OrderType,
    Refused,
    Side,
    Unknown,
    WorkingType,
)

pytestmark = pytest.mark.anyio
PATIENCE_S = 60.0
TIME, STOPS, ORDERS = "GET /fapi/v1/time", "POST /fapi/v1/algoOrder", "POST /fapi/v1/order"
POSITIONS, OPEN_ORDERS, OPEN_ALGOS = (
    "GET /fapi/v3/positionRisk",
    "GET /fapi/v1/openOrders",
    "GET /fapi/v1/openAlgoOrders",
)
PRICE, CANCEL = "GET /fapi/v1/premiumIndex", "DELETE /fapi/v1/algoOrder"
BTC, ETH = "BTCUSDT", "ETHUSDT"
FIREWALL = b"<html><head><title>403 Forbidden</title></head></html>"
TOO_MANY = {"code": -1003, "msg": "Too many requests; current limit of IP(1.1.1.1) is 2400 requests per minute."}
TOO_MANY_ORDERS = {"code": -1015, "msg": "Too many new orders; current limit is 300 orders per TEN_SECONDS."}


def stop(symbol: str = BTC, client_id: str = "f0000000a-1-1-S1.1", **more: Any) -> AlgoRequest:
    return AlgoRequest(
        symbol=symbol, side=Side.SELL, trigger_price=Decimal("58800"), working_type=WorkingType.MARK_PRICE,
        client_id=client_id, **{"type": ConditionalType.STOP_MARKET, "close_position": True, **more},
    )  # fmt: skip


def close(client_id: str = "f0000000a-1-1-C1.1") -> OrderRequest:
    quantity = Decimal("0.010")
    return OrderRequest(
        symbol=BTC, side=Side.SELL, type=OrderType.MARKET, quantity=quantity, client_id=client_id, reduce_only=True
    )


def entry() -> OrderRequest:
    return OrderRequest(
        symbol=BTC, side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.010"), client_id="f0000000a-1-1-E1.1"
    )


def rests(client_id: str = "f0000000a-1-1-S1.1", symbol: str = BTC) -> dict[str, Any]:
    return {
        "algoId": 7, "clientAlgoId": client_id, "orderType": "STOP_MARKET", "symbol": symbol, "side": "SELL",
        "algoStatus": "NEW", "triggerPrice": "58800.00", "workingType": "MARK_PRICE", "closePosition": True,
        "quantity": "0", "reduceOnly": False, "updateTime": 1,
    }  # fmt: skip


class Paced:
    """The client on a clock that moves in steps, and when each of its requests reached the server."""

    def __init__(self, client: BinanceClient, exchange: Any, clock: Any) -> None:
        self.client, self.exchange, self.clock = client, exchange, clock
        self._tasks: list[asyncio.Task[Any]] = []

    def starts(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.append(task)
        return task

    async def runs(self, until: Callable[[], bool]) -> None:
        """Let everything run, time standing still, until something has come about at the server or here."""
        ends = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < ends, "it never came about"
            await asyncio.sleep(0)

    async def settles(self) -> None:
        """Real sockets: nothing more is under way when everybody here waits for the clock or has an answer."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def passes(self, seconds: float, step_s: float = 0.25) -> None:
        """Time moves on; whatever it sets off is carried out in it."""
        for _ in range(round(seconds / step_s)):
            await self.clock.advance(step_s)
            await self.settles()

    def answers(self, *script: Any) -> Any:
        """Scripted answers that also note when they were asked for; the last one stays."""
        left = list(script)

        def answer(asked: Any) -> Any:
            self.when.append((asked.name, round(self.clock.seconds - self.began_s, 2)))
            return left.pop(0) if len(left) > 1 else left[0]

        return answer

    def begins(self) -> None:
        self.when: list[tuple[str, float]] = []
        self.began_s = self.clock.seconds

    async def ends(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def paced(client: BinanceClient, exchange: Any, clock: Any) -> AsyncIterator[Paced]:
    await client.server_time_ms()
    clock.jumping = False
    paced = Paced(client, exchange, clock)
    paced.begins()
    yield paced
    await paced.ends()


async def _pause(paced: Paced, answer: Any, **told: Any) -> None:
    """A read is refused, and with it everything for a while."""
    paced.exchange.on(PRICE, answer(**{"body": TOO_MANY, "status": 429, **told}))
    paced.exchange.on("GET /fapi/v2/ticker/price", answer(**{"body": TOO_MANY, "status": 429, **told}))
    with suppress(Exception):
        await paced.client.mark_price(BTC)


@pytest.mark.parametrize(
    ("status", "body"), [(403, FIREWALL), (429, TOO_MANY), (429, b"")], ids=["403", "429", "429 without a body"]
)
async def test_r56_one_refusal_costs_a_naked_position_one_second(
    paced: Paced, answer: Any, status: int, body: object
) -> None:
    """Seen: one 403 in answer to the first stop, and the position was naked for 170 s."""
    paced.client.set_naked(BTC, True)
    paced.exchange.on(STOPS, paced.answers(answer(body, status=status), answer(rests())))
    placed = paced.starts(paced.client.place_algo(stop()))
    await paced.settles()
    await paced.passes(1.0)
    await paced.runs(placed.done)
    assert paced.when == [(STOPS, 0.0), (STOPS, 1.0)]
    assert isinstance(placed.result(), Confirmed)
    assert paced.client.pause() is None


async def test_r56_while_everything_is_refused_the_naked_stop_has_every_probe(paced: Paced, answer: Any) -> None:
    """Looks of six to nine requests used to take them all."""
    paced.client.set_naked(BTC, True)
    refused = paced.answers(answer(FIREWALL, status=403))
    for name in (STOPS, OPEN_ORDERS, OPEN_ALGOS, POSITIONS):
        paced.exchange.on(name, refused)
    for number in range(5):
        paced.starts(paced.client.look(f"S{number}USDT", LookRequest()))
    await paced.settles()
    paced.begins()
    placed = paced.starts(paced.client.place_algo(stop()))
    for _ in range(64):
        for number in range(5):
            paced.starts(paced.client.look(f"S{number}USDT", LookRequest()))
        await paced.passes(0.25)
    assert paced.when == [(STOPS, at_s) for at_s in (1.0, 3.0, 7.0, 15.0)]
    assert not placed.done()


async def test_r56_a_pause_ends_though_nothing_asks_but_looks(paced: Paced, answer: Any) -> None:
    """Nobody is naked. A look asks for two lists at once: the first was the probe, the second was told to wait, which
    gave the first one up before its answer was heard. So no look came through any more, for days."""
    refused = answer(FIREWALL, status=403)
    for name in (OPEN_ORDERS, OPEN_ALGOS):
        paced.exchange.on(name, refused)
    for _ in range(80):
        paced.starts(paced.client.look(BTC, LookRequest()))
        await paced.passes(0.25)
    assert paced.client.pause() is not None
    for name in (OPEN_ORDERS, OPEN_ALGOS):
        paced.exchange.on(name, answer([]))
    for _ in range(80):
        paced.starts(paced.client.look(BTC, LookRequest()))
        await paced.passes(0.25)
    assert paced.client.pause() is None


async def test_r56_a_refusal_also_ends_the_pause_for_what_protects(paced: Paced, answer: Any) -> None:
    await _pause(paced, answer)
    paced.client.set_naked(BTC, True)
    paced.exchange.on(STOPS, answer({"code": -2021, "msg": "would trigger"}, status=400))
    placed = paced.starts(paced.client.place_algo(stop()))
    await paced.passes(1.0)
    await paced.runs(placed.done)
    assert placed.result().code == -2021
    paced.exchange.on(ORDERS, answer({"code": -2022, "msg": "no"}, status=400))
    closed = paced.starts(paced.client.place_order(close()))
    await paced.runs(closed.done)
    assert closed.result().code == -2022, "at once"
    opened = paced.starts(paced.client.place_order(entry()))
    await paced.runs(opened.done)
    assert "not sent" in opened.result().message, "entries last"


@pytest.mark.parametrize("banned", [True, False], ids=["418 until a millisecond", "429 with Retry-After"])
async def test_r56_nothing_leaves_before_a_stated_end_and_the_naked_stop_right_after_it(
    paced: Paced, answer: Any, banned: bool
) -> None:
    """A ban that grows with each request made in it must not be made longer by us."""
    until_ms = paced.clock.now_ms() + 9_300
    if banned:
        body = {"code": -1003, "msg": f"Way too many requests; IP(1.1.1.1) banned until {until_ms}."}
        await _pause(paced, answer, body=body, status=418, headers={"Retry-After": "10"})
    else:
        await _pause(paced, answer, headers={"Retry-After": "10"})
    shown = paced.client.pause()
    assert shown is not None
    ends_s = 9.4 if banned else 10.1  # a tenth later, as clocks differ
    assert shown.left_s == pytest.approx(ends_s)
    assert shown.banned == banned
    paced.client.set_naked(BTC, True)
    for name in (STOPS, OPEN_ORDERS, OPEN_ALGOS, CANCEL, ORDERS):
        paced.exchange.on(name, paced.answers(answer(rests()) if name == STOPS else answer([])))
    before = len(paced.exchange.asked)
    placed = paced.starts(paced.client.place_algo(stop()))
    for _ in range(36):
        paced.starts(paced.client.look(ETH, LookRequest()))
        paced.starts(paced.client.cancel_algo(ETH, "f0000000a-1-2-S1.1"))
        await paced.passes(0.25)
    assert len(paced.exchange.asked) == before
    await paced.passes(1.5, step_s=0.05)
    await paced.runs(placed.done)
    assert paced.when[0] == (STOPS, ends_s)


async def test_r56_too_many_orders_starve_neither_cancels_nor_reads(paced: Paced, answer: Any) -> None:
    paced.client.set_naked(BTC, True)
    paced.exchange.on(STOPS, paced.answers(answer(TOO_MANY_ORDERS, status=429), answer(rests())))
    placed = paced.starts(paced.client.place_algo(stop()))
    await paced.runs(lambda: paced.client.pause() is not None)
    paced.exchange.on(CANCEL, {"code": "200"})
    paced.exchange.on(POSITIONS, [])
    cancelled = paced.starts(paced.client.cancel_algo(BTC, "f0000000a-1-1-T1.1"))
    read = paced.starts(paced.client.positions(BTC))
    await paced.runs(lambda: cancelled.done() and read.done())
    assert isinstance(cancelled.result(), Confirmed)
    await paced.passes(1.0)
    await paced.runs(placed.done)
    assert paced.when == [(STOPS, 0.0), (STOPS, 1.0)]


async def test_r56_an_order_count_that_the_headers_show_to_be_full_is_waited_for(paced: Paced, answer: Any) -> None:
    paced.client.set_naked(BTC, True)
    left_s = 10 - paced.clock.now_ms() % 10_000 / 1_000
    full = {"X-MBX-ORDER-COUNT-10S": "300"}
    paced.exchange.on(STOPS, paced.answers(answer(TOO_MANY_ORDERS, status=429, headers=full), answer(rests())))
    placed = paced.starts(paced.client.place_algo(stop()))
    await paced.settles()
    await paced.passes(left_s + 0.05, step_s=0.05)
    await paced.runs(placed.done)
    assert [name for name, _ in paced.when] == [STOPS, STOPS]
    assert left_s <= paced.when[1][1] <= left_s + 0.1


async def test_r56_targets_are_no_probes_before_the_stop_and_follow_its_answer(paced: Paced, answer: Any) -> None:
    await _pause(paced, answer)
    paced.client.set_naked(BTC, True)
    target = stop(client_id="f0000000a-1-1-T1.1", type=ConditionalType.TAKE_PROFIT_MARKET)
    paced.exchange.on(STOPS, paced.answers(answer(rests())))
    first, second = paced.starts(paced.client.place_algo(target)), paced.starts(paced.client.place_algo(stop()))
    await paced.passes(1.0)
    await paced.runs(lambda: first.done() and second.done())
    assert isinstance(second.result(), Confirmed)
    assert isinstance(first.result(), Confirmed)
    assert paced.when == [(STOPS, 1.0), (STOPS, 1.0)]
    sent = [request.params["clientAlgoId"] for request in paced.exchange.calls(STOPS)]
    assert sent == [stop().client_id, target.client_id]


async def test_r56_what_protects_others_is_told_that_it_was_not_sent(paced: Paced, answer: Any) -> None:
    await _pause(paced, answer, headers={"Retry-After": "60"})
    outcome = await paced.client.place_algo(stop())
    assert isinstance(outcome, Refused)
    assert (outcome.code, "not sent" in outcome.message) == (-1003, True)
    assert not paced.client.has_left(stop().client_id)


async def test_r56_giving_up_a_stop_that_waits_leaves_no_trace_of_it(paced: Paced, answer: Any) -> None:
    await _pause(paced, answer)
    paced.client.set_naked(BTC, True)
    placed = paced.starts(paced.client.place_algo(stop()))
    await paced.settles()
    placed.cancel()
    paced.exchange.on(ORDERS, paced.answers(answer({"code": -2022, "msg": "no"}, status=400)))
    closed = paced.starts(paced.client.place_order(close()))
    await paced.passes(1.0)
    await paced.runs(closed.done)
    assert paced.when == [(ORDERS, 1.0)], "the close had the probe"
    assert (paced.client.has_left(stop().client_id), paced.client.has_left(close().client_id)) == (False, True)


async def test_r56_a_stop_that_was_refused_for_a_pause_has_not_left(paced: Paced, answer: Any) -> None:
    paced.client.set_naked(BTC, True)
    paced.exchange.on(STOPS, answer(FIREWALL, status=403))
    placed = paced.starts(paced.client.place_algo(stop()))
    await paced.runs(lambda: paced.client.pause() is not None)
    assert not paced.client.has_left(stop().client_id)
    placed.cancel()


async def test_r56_what_waits_for_a_connection_when_a_pause_begins_does_not_leave_in_it(
    paced: Paced, answer: Any
) -> None:
    paced.exchange.on(POSITIONS, answer(hang=True))
    hanging = [paced.starts(paced.client.positions(f"S{number}USDT")) for number in range(20)]
    await paced.runs(lambda: len(paced.exchange.calls(POSITIONS)) == 20)
    waiting = paced.starts(paced.client.positions(BTC))
    await paced.settles()
    await _pause(paced, answer, headers={"Retry-After": "2"})
    for task in hanging:
        task.cancel()
    await paced.settles()
    assert len(paced.exchange.calls(POSITIONS)) == 20
    paced.exchange.on(POSITIONS, [])
    await paced.passes(2.25)
    await paced.runs(waiting.done)
    assert waiting.result() == []


async def test_r84_a_stop_that_hangs_does_not_hold_up_its_next_attempt(paced: Paced, answer: Any) -> None:
    paced.exchange.on(STOPS, answer(hang=True), answer(rests()))
    first = paced.starts(paced.client.place_algo(stop()))
    await paced.runs(lambda: len(paced.exchange.calls(STOPS)) == 1)
    assert paced.client.has_left(stop().client_id)
    second = await paced.client.place_algo(stop())
    assert isinstance(second, Confirmed)
    assert not first.done()
    one, other = paced.exchange.calls(STOPS)
    assert one.connection != other.connection


async def test_r84_a_stop_finds_a_connection_while_three_hundred_looks_hang(paced: Paced, answer: Any) -> None:
    for name in (OPEN_ORDERS, OPEN_ALGOS):
        paced.exchange.on(name, answer(hang=True))
    for number in range(300):
        paced.starts(paced.client.look(f"S{number}USDT", LookRequest()))
    await paced.runs(lambda: len(paced.exchange.calls(OPEN_ORDERS)) + len(paced.exchange.calls(OPEN_ALGOS)) >= 20)
    paced.exchange.on(STOPS, rests())
    assert isinstance(await paced.client.place_algo(stop()), Confirmed)


async def test_r84_sixty_stops_that_hang_do_not_hold_up_another(paced: Paced, answer: Any) -> None:
    paced.exchange.on(STOPS, *[answer(hang=True)] * 60, answer(rests("f0000000a-1-9-S1.1")))
    for number in range(60):
        paced.starts(paced.client.place_algo(stop(f"S{number}USDT", f"f0000000a-{number}-1-S1.1")))
    await paced.runs(lambda: len(paced.exchange.calls(STOPS)) == 60)
    outcome = await paced.client.place_algo(stop(client_id="f0000000a-1-9-S1.1"))
    assert isinstance(outcome, Confirmed)


async def test_r84_the_stop_uses_the_connection_that_the_entry_warmed(
    paced: Paced, answer: Any, client: BinanceClient
) -> None:
    paced.exchange.on(ORDERS, {"code": -2019, "msg": "no"})
    paced.exchange.on(STOPS, rests())
    await client.place_order(entry())
    await client.place_algo(stop())
    assert paced.exchange.calls(ORDERS)[0].connection == paced.exchange.calls(STOPS)[0].connection


Fresh = Callable[[], Awaitable[BinanceClient]]


@pytest.fixture
async def fresh(exchange: Any, clock: Any, credentials: Any) -> AsyncIterator[BinanceClient]:
    """A client that has asked nothing yet."""
    client = BinanceClient(base_url=exchange.url, clock=clock, credentials=credentials)
    yield client
    await client.aclose()


@pytest.mark.parametrize("how", ["hangs", "refused", "dropped"])
async def test_r56_a_server_time_that_cannot_be_read_does_not_keep_the_first_stop(
    fresh: BinanceClient, exchange: Any, answer: Any, monkeypatch: Any, how: str
) -> None:
    monkeypatch.setattr(http_module, "_CLOCK_S", 0.05)
    exchange.on(TIME, {"hangs": answer(hang=True), "dropped": answer(drop=True),
                       "refused": answer(FIREWALL, status=403)}[how])  # fmt: skip
    exchange.on(STOPS, rests())
    fresh.set_naked(BTC, True)
    assert isinstance(await fresh.place_algo(stop()), Confirmed)


async def test_an_entry_does_not_leave_before_the_servers_time_was_read(
    fresh: BinanceClient, exchange: Any, answer: Any
) -> None:
    exchange.on(TIME, answer(FIREWALL, status=403))
    fresh._filters = {}
    outcome = await fresh.ensure_leverage(BTC, 3)
    assert isinstance(outcome, Refused)
    assert exchange.names() == []


async def test_r56_in_a_pause_the_first_stop_spends_no_probe_on_the_clock(
    fresh: BinanceClient, exchange: Any, answer: Any, clock: Any
) -> None:
    exchange.on(TIME, answer(FIREWALL, status=403))
    exchange.on(PRICE, answer(FIREWALL, status=403))
    exchange.on("GET /fapi/v2/ticker/price", answer(FIREWALL, status=403))
    with suppress(Exception):
        await fresh.mark_price(BTC)
    fresh.set_naked(BTC, True)
    exchange.on(STOPS, rests())
    assert isinstance(await fresh.place_algo(stop()), Confirmed)
    assert exchange.calls(TIME) == []
    assert 1.0 <= clock.seconds < 1.1


async def test_r56_a_wrong_clock_in_a_pause_is_set_right_at_once_because_it_was_an_answer(
    paced: Paced, answer: Any
) -> None:
    await _pause(paced, answer)
    paced.client.set_naked(BTC, True)
    skew = answer({"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}, status=400)
    paced.exchange.on(STOPS, paced.answers(skew, answer(rests())))
    placed = paced.starts(paced.client.place_algo(stop()))
    await paced.passes(1.0)
    await paced.runs(placed.done)
    assert isinstance(placed.result(), Confirmed)
    assert paced.when == [(STOPS, 1.0), (STOPS, 1.0)]


async def test_r56_a_clock_that_is_set_back_does_not_make_a_pause_longer(paced: Paced, answer: Any) -> None:
    await _pause(paced, answer, headers={"Retry-After": "5"})
    paced.client.set_naked(BTC, True)
    paced.clock.offset_ms = -3_600_000
    paced.exchange.on(STOPS, paced.answers(answer(rests())))
    placed = paced.starts(paced.client.place_algo(stop()))
    await paced.passes(5.2, step_s=0.05)
    await paced.runs(placed.done)
    [(name, at_s)] = paced.when
    assert name == STOPS
    assert 5.0 <= at_s <= 5.25


async def test_an_unanswered_write_is_unknown_and_has_left(paced: Paced, answer: Any) -> None:
    paced.exchange.on(STOPS, answer(drop=True))
    assert isinstance(await paced.client.place_algo(stop()), Unknown)
    assert paced.client.has_left(stop().client_id)
