"""The stops that leave while the loop is held up (R57, R84): when they are due, and that a thread really sends them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from exchange.binance.client import BinanceClient
from exchange.port import Exchange
from exchange.sim.server.launch import Launched
from exchange.types import AlgoRequest, ConditionalType, Confirmed, Outcome, Side, WorkingType
from fsm.core.model.intents import PlaceStop
from fsm.live.trading.lifeline import AGAIN_S, Lifeline, watched_by_a_thread
from tests.contract.conftest import anyio_backend, candles, simulator  # noqa: F401 - fixtures
from tests.contract.grounds import BTC, OverHttp, cleared
from tests.contract.requests import market, stop


def owed(symbol: str, price: str = "1") -> PlaceStop:
    request = AlgoRequest(
        symbol=symbol,
        side=Side.SELL,
        type=ConditionalType.STOP_MARKET,
        trigger_price=Decimal(price),
        working_type=WorkingType.MARK_PRICE,
        client_id=f"{symbol}-{price}",
        close_position=True,
    )
    return PlaceStop(symbol=symbol, request=request)


class TestWhatIsDue:
    def test_nothing_while_the_loop_moves_or_has_not_moved_yet(self) -> None:
        lifeline = Lifeline(lambda: 1.0)
        lifeline.owe("A", owed("A"))
        assert lifeline.due(100.0) == []
        lifeline.beat(100.0)
        assert lifeline.due(100.99) == []

    def test_everything_that_is_owed_once_it_stands_still_and_again_while_it_does(self) -> None:
        lifeline = Lifeline(lambda: 1.0)
        lifeline.beat(100.0)
        lifeline.owe("A", owed("A"))
        lifeline.owe("B", owed("B"))
        assert lifeline.due(101.0) == [owed("A"), owed("B")]
        assert lifeline.due(101.0 + AGAIN_S / 2) == []
        lifeline.rests(owed("A"))
        assert lifeline.due(101.0 + AGAIN_S) == [owed("B")]
        lifeline.beat(102.0)
        assert lifeline.due(102.5) == []
        assert lifeline.due(103.0) == [owed("A"), owed("B")]

    def test_not_what_is_owed_no_more_and_the_newest_of_what_is(self) -> None:
        lifeline = Lifeline(lambda: 1.0)
        lifeline.beat(100.0)
        lifeline.owe("A", owed("A"))
        lifeline.owe("B", owed("B"))
        assert lifeline.due(101.0) == [owed("A"), owed("B")]
        lifeline.owe("A", None)
        lifeline.owe("B", owed("B", "2"))
        assert lifeline.due(101.01) == [owed("B", "2")]


@pytest.fixture
async def ground(simulator: Launched) -> AsyncIterator[OverHttp]:  # noqa: F811 - the fixture of that name
    async with cleared(simulator) as over_http:
        yield over_http


@pytest.mark.anyio
async def test_a_thread_sends_it_with_a_client_of_its_own_while_this_loop_stands_still(ground: OverHttp) -> None:
    answered = threading.Event()
    accepted: list[Outcome] = []

    class Told(BinanceClient):
        async def place_algo(self, request: AlgoRequest) -> Outcome:
            outcome = await super().place_algo(request)
            accepted.append(outcome)
            answered.set()
            return outcome

    @asynccontextmanager
    async def connected() -> AsyncIterator[Exchange]:
        client = Told(base_url=ground.url, clock=ground.clock, credentials=ground.credentials)
        yield client
        await client.aclose()

    await ground.exchange.filters()
    assert isinstance(await ground.exchange.place_order(market(Side.BUY, "0.010")), Confirmed)
    lifeline = Lifeline(lambda: 0.25)
    request = stop(Side.SELL, "58000")
    lifeline.owe(BTC, PlaceStop(symbol=BTC, request=request))
    lifeline.beat(0.0)
    with watched_by_a_thread(lifeline, connected):
        assert answered.wait(60)  # this is where the loop stands still
    assert isinstance(accepted[0], Confirmed)
    again = await ground.exchange.place_algo(request)
    assert isinstance(again, Confirmed)
    assert [algo.client_id for algo in await ground.exchange.open_algos(BTC)] == [request.client_id]
