"""The rows of the fault menu that are about streams: what the client hears, and what it does when it hears nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import pytest

from exchange.binance.listen_keys import ListenKeys
from exchange.binance.user_stream import UserStream
from exchange.event_queue import EventQueue
from exchange.events import AlgoChanged, ListenKeyExpired, OrderChanged, Resync, StreamAlarm, StreamEvent
from exchange.sim.server.launch import Launched
from exchange.types import AlgoStatus, Confirmed, OrderStatus, Side
from tests.contract.conftest import anyio_backend, candles, simulator  # noqa: F401 - fixtures
from tests.contract.grounds import BTC, OverHttp, cleared
from tests.contract.requests import market, stop

pytestmark = pytest.mark.anyio
PATIENCE_S = 120.0
Kind = TypeVar("Kind", bound=StreamEvent)


class HeldClock:
    """Nobody who waits goes on until the test lets so much time pass."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return int(self._now_s * 1_000)

    def monotonic(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._now_s + seconds, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Second by second, so that whoever waits in a loop gets each of its turns."""
        for _ in range(round(seconds)):
            self._now_s += 1.0
            due = [future for at_s, future in self._waiting if at_s <= self._now_s]
            self._waiting = [(at_s, future) for at_s, future in self._waiting if at_s > self._now_s]
            for future in due:
                if not future.done():
                    future.set_result(None)
            for _ in range(5):
                await asyncio.sleep(0)


class Ear:
    """A user stream that runs, and what it told."""

    def __init__(self, ground: OverHttp, ws: str) -> None:
        self.clock = HeldClock()
        self.queue = EventQueue()
        keys = ListenKeys(ground.exchange.http)
        self.stream = UserStream(keys=keys, base_urls=(ws,), clock=self.clock, sink=self.queue.put)

    async def next(self, kind: type[Kind], wanted: Callable[[Kind], bool] = lambda _: True) -> Kind:
        """The next event of this kind; what comes before it is let go."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = await self.queue.get()
                if isinstance(event, kind) and wanted(event):
                    return event

    async def again(self) -> None:
        """Let the pause before the next connection pass, and wait for it."""
        await self.clock.advance(2)
        await self.next(Resync, lambda told: told.reason == "connected")


@pytest.fixture
async def ground(simulator: Launched) -> AsyncIterator[OverHttp]:  # noqa: F811 - the fixture of that name
    async with cleared(simulator) as over_http:
        yield over_http


@asynccontextmanager
async def listening(ground: OverHttp, simulator: Launched) -> AsyncIterator[Ear]:  # noqa: F811
    ear = Ear(ground, simulator.ws)
    task = asyncio.create_task(ear.stream.run())
    try:
        await ear.next(Resync)
        yield ear
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _buys(ground: OverHttp) -> str:
    request = market(Side.BUY, "0.010")
    assert isinstance(await ground.exchange.place_order(request), Confirmed)
    return request.client_id


def _filled(client_id: str) -> Callable[[OrderChanged], bool]:
    return lambda event: event.order.client_id == client_id and event.order.status is OrderStatus.FILLED


async def test_an_order_is_heard_of_from_its_acceptance_to_its_fill(ground: OverHttp, simulator: Launched) -> None:  # noqa: F811
    async with listening(ground, simulator) as ear:
        client_id = await _buys(ground)
        new = await ear.next(OrderChanged)
        assert (new.order.client_id, new.execution, new.fill) == (client_id, "NEW", None)
        filled = await ear.next(OrderChanged)
        assert filled.order.status is OrderStatus.FILLED
        assert filled.fill is not None


@pytest.mark.parametrize("fate", ["expired", "cut after 24 hours"])
async def test_r31_an_expired_key_and_a_cut_each_lead_to_a_new_connection_and_a_full_read(
    ground: OverHttp,
    simulator: Launched,  # noqa: F811
    fate: str,
) -> None:
    async with listening(ground, simulator) as ear:
        if fate == "expired":
            await ground.sim("POST", "streams", {"action": "expire_listen_key"})
            await ear.next(ListenKeyExpired)
            assert "expired" in (await ear.next(Resync)).reason
        else:
            await ground.sim("POST", "streams", {"action": "cut"})
            await ear.next(Resync)
        await ear.again()
        await ear.next(OrderChanged, _filled(await _buys(ground)))
    made = [row for row in await ground.requests() if (row["method"], row["path"]) == ("POST", "/fapi/v1/listenKey")]
    assert len(made) == 2


async def test_r31_a_socket_that_says_nothing_of_an_order_of_ours_is_an_alarm_and_replaced(
    ground: OverHttp,
    simulator: Launched,  # noqa: F811
) -> None:
    async with listening(ground, simulator) as ear:
        await ground.sim("POST", "streams", {"action": "mute"})
        ear.stream.expect(await _buys(ground))
        await ear.clock.advance(9)
        assert len(ear.queue) == 0
        await ear.clock.advance(2)
        alarm = await ear.next(StreamAlarm)
        assert "no event about order" in alarm.reason
        await ear.next(Resync)
        await ear.again()
        await ear.next(OrderChanged, _filled(await _buys(ground)))


async def test_an_event_that_is_lost_leaves_the_rest_answers_true(ground: OverHttp, simulator: Launched) -> None:  # noqa: F811
    await ground.fault(about="event", match={"event": "ORDER_TRADE_UPDATE"}, effect="missing", times=2)
    async with listening(ground, simulator) as ear:
        lost = await _buys(ground)
        heard = await _buys(ground)
        assert (await ear.next(OrderChanged)).order.client_id == heard
    found = await ground.exchange.order(BTC, lost)
    assert found is not None
    assert found.status is OrderStatus.FILLED


async def test_an_event_that_comes_twice_is_the_same_fill_twice(ground: OverHttp, simulator: Launched) -> None:  # noqa: F811
    match = {"event": "ORDER_TRADE_UPDATE", "execution": "TRADE"}
    await ground.fault(about="event", match=match, effect="twice", times=1)
    async with listening(ground, simulator) as ear:
        client_id = await _buys(ground)
        first = await ear.next(OrderChanged, _filled(client_id))
        assert await ear.next(OrderChanged, _filled(client_id)) == first
    [position] = await ground.exchange.positions(BTC)
    assert position.quantity == first.order.quantity


async def test_an_event_of_a_kind_or_status_not_invented_yet_is_passed_over(
    ground: OverHttp,
    simulator: Launched,  # noqa: F811
) -> None:
    match = {"event": "ORDER_TRADE_UPDATE", "execution": "NEW"}
    strange: dict[str, Any] = {"merge": {"o": {"X": "NEW_ADL", "extra": {"deep": [None]}}, "more": 1}}
    await ground.fault(about="event", match=match, effect=strange, times=1)
    async with listening(ground, simulator) as ear:
        client_id = await _buys(ground)
        assert (await ear.next(OrderChanged)).order.status is OrderStatus.UNRECOGNISED
        await ear.next(OrderChanged, _filled(client_id))


async def test_a_stop_is_heard_of_when_it_rests_and_when_it_fires(ground: OverHttp, simulator: Launched) -> None:  # noqa: F811
    async with listening(ground, simulator) as ear:
        await _buys(ground)
        protection = stop(Side.SELL, "58000")
        await ground.exchange.place_algo(protection)
        rests = await ear.next(AlgoChanged)
        assert (rests.algo_order.client_id, rests.algo_order.status) == (protection.client_id, AlgoStatus.NEW)
        await ground.price("57900")
        fired = await ear.next(AlgoChanged, lambda event: event.algo_order.status is AlgoStatus.FINISHED)
        assert fired.algo_order.actual_order_id is not None


@pytest.mark.parametrize(
    "path",
    ["/ws/{key}", "/private/ws/{key}", "/private/ws?listenKey=wrong&events=ORDER_TRADE_UPDATE", "/market/ws/{key}"],
)
async def test_wrong_routes_connect_and_stay_silent(
    ground: OverHttp,
    simulator: Launched,  # noqa: F811
    path: str,
) -> None:
    from websockets.asyncio.client import connect

    key = await ListenKeys(ground.exchange.http).create()
    async with (
        connect(f"{simulator.ws}{path.format(key=key)}", proxy=None) as wrong,
        listening(ground, simulator) as ear,
    ):
        await ear.next(OrderChanged, _filled(await _buys(ground)))  # so whatever was to be sent has been
        pong = await wrong.ping()
        await pong
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await wrong.recv()
