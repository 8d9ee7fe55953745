"""R16, R17, R20: whatever becomes of the answer, one intent is one order: ten thousand seeded lives of a trade.

The exchange is the simulator's gateway, the client and the executor are the real ones, and only the network is left
out; fewer runs go over real HTTP. In each run answers of the entry, the stop and the close are lost in every way.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from exchange.binance.client import BinanceClient
from exchange.binance.resolution import Absent, Found, StillUnknown
from exchange.sim.server.faults import Match, Rule, When
from exchange.sim.server.launch import Launched
from exchange.types import AlgoOrder, Confirmed, OrderRequest, Outcome, Refused, Side, Unknown
from fsm.core.model.intents import ClosePosition, PlaceEntry, PlaceStop
from fsm.live.context.clock import Clock
from fsm.live.trading.executor import Executor
from tests.contract.conftest import anyio_backend, candles, simulator  # noqa: F401 - fixtures
from tests.contract.grounds import BTC, OverHttp, cleared
from tests.contract.requests import market, new_id, stop
from tests.contract.wired import Wired

pytestmark = pytest.mark.anyio

RUNS, SHARDS = 10_000, 10
OFTEN = 1  # so many shards run with every test, all of them with the slow ones
LIVED_TO_THE_END = 10  # every so-manieth run goes on to stop and close; the others are about the entry
RUNS_OVER_HTTP = 12
ORDER, ALGO = "/fapi/v1/order", "/fapi/v1/algoOrder"
QUANTITY = Decimal("0.010")
LATEST_S = 6.0  # a write takes effect at most so long after it was answered; a search for one lasts longer
LOST = ("unknown_503", "unknown_503_without_code", "unknown_503_text", "timeout_408", "timeout_1007", "unexpected_1006",
        "internal_500", "bad_gateway_502", "disconnect", "empty_200")  # fmt: skip
REPEATED = ("unavailable_503", "throttled_503")
BREAKS = (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError)
Held = Callable[[], Awaitable[Decimal]]


def rules_of(seed: int) -> list[dict[str, Any]]:
    """What goes wrong in a run: mostly the entry's answer, often the stop's or the close's, and queries that lag."""
    chance = random.Random(seed)
    rules: list[dict[str, Any]] = []
    for path, side, likely in ((ORDER, "BUY", 0.95), (ALGO, "SELL", 0.5), (ORDER, "SELL", 0.5)):
        match = {"method": "POST", "path": path, "side": side}
        if chance.random() < 0.1:
            rules.append({"match": match, "effect": chance.choice(REPEATED), "times": chance.randint(1, 3)})
        if chance.random() >= likely:
            continue
        effect, kind = chance.choice(LOST), chance.random()
        if kind < 0.65:
            rules.append({"match": match, "effect": effect, "when": "after", "times": 1})
        elif kind < 0.78:
            rules.append({"match": match, "effect": effect, "when": "instead", "times": 1})
        else:
            late = {"preset": effect, "late_ms": chance.randint(1, int(LATEST_S * 1_000))}
            rules.append({"match": match, "effect": late, "when": "before", "times": 1})
    if chance.random() < 0.3:
        lag = {"method": "GET", "path": chance.choice((ORDER, ALGO)), "order_age_ms_max": chance.randint(1, 12_000)}
        rules.append({"match": lag, "effect": "not_found"})
    return rules


@dataclass
class Life:
    """One trade, as the daemon lives it: an entry once, its stop until it rests, and a close once per attempt."""

    client: BinanceClient
    executor: Executor
    held: Held

    async def enter(self, request: OrderRequest) -> str:
        """The entry is sent once. Shown absent, it is dropped; unresolved, the position decides."""
        outcome = await self.executor.do(PlaceEntry(symbol=BTC, request=request))
        if isinstance(outcome, Confirmed):
            assert await self.held() == QUANTITY
            return "confirmed"
        if isinstance(outcome, Refused):
            assert await self.held() == 0
            return "refused"
        resolution = await self.client.resolve_order(BTC, request.client_id, quantity_before=Decimal(0))
        held = await self.held()
        match resolution:
            case Found():
                assert held == QUANTITY
                return "found"
            case Absent():
                assert held == 0
                return "absent"
            case StillUnknown():
                assert held == QUANTITY
                return "held"

    async def protect(self) -> None:
        """Send the stop again under its one id until it rests; the list shows it even where a query lags."""
        intent = PlaceStop(symbol=BTC, request=stop(Side.SELL, "58000"))
        for _ in range(5):
            outcome = await self.executor.do(intent)
            listed = [algo.client_id for algo in await self.client.open_algos(BTC)]
            if isinstance(outcome, Confirmed) or intent.request.client_id in listed:
                return
        raise AssertionError(f"no stop: {outcome}")

    async def leave(self) -> None:
        """A reduce-only piece; another one only when the position shows that this one is not to come."""
        for _ in range(4):
            request = market(Side.SELL, str(QUANTITY), reduce_only=True)
            outcome: Outcome = await self.executor.do(ClosePosition(symbol=BTC, request=request))
            if isinstance(outcome, Unknown):
                await self.client.resolve_order(BTC, request.client_id, quantity_before=QUANTITY)
            held = await self.held()
            assert held >= 0
            if held == 0:
                return
        raise AssertionError("the position is still there")


async def _one_run(life: Life, stops: Callable[[], Awaitable[list[AlgoOrder]]], clock: Clock) -> str:
    """From the entry until everything that may still arrive late has arrived."""
    ending = await life.enter(market(Side.BUY, str(QUANTITY)))
    if await life.held():
        await life.protect()
        assert len(await stops()) == 1
        await life.leave()
    await clock.sleep(LATEST_S)
    assert await life.held() == 0
    assert await stops() == []
    return ending


async def _entry_only(life: Life, wired: Wired) -> str:
    """The same of the entry alone; the position is then closed by another hand."""
    ending = await life.enter(market(Side.BUY, str(QUANTITY)))
    held = await life.held()
    await wired.clock.sleep(LATEST_S)
    assert await life.held() == held
    if held:
        wired.emulator.venue.place_order(market(Side.SELL, str(QUANTITY), reduce_only=True))
        wired.emulator.venue.drain()
    return ending


@pytest.fixture
def wired(candles: Path) -> Wired:  # noqa: F811
    return Wired(candles)


@pytest.mark.parametrize(
    "shard", [shard if shard < OFTEN else pytest.param(shard, marks=pytest.mark.slow) for shard in range(SHARDS)]
)
async def test_r16_r17_no_seed_ever_doubles_an_order(wired: Wired, shard: int) -> None:
    emulator, endings = wired.emulator, set()
    venue = emulator.venue

    async def held() -> Decimal:
        return venue.position(BTC).quantity

    async def stops() -> list[AlgoOrder]:
        return venue.open_algos(BTC)

    executor = Executor(wired.client, wired.clock)
    life = Life(wired.client, executor, held)
    emulator.faults.remove()
    await wired.client.filters()
    for seed in range(shard, RUNS, SHARDS):
        chance = random.Random(f"break {seed}")
        error = chance.choice(BREAKS)
        wired.transport.breaks = lambda error=error: error("lost")
        for rule in rules_of(seed):
            emulator.faults.add(_rule(rule))
        orders_before, fills_before = len(list(venue.state.orders)), len(venue.state.fills)
        try:
            whole = seed // SHARDS % LIVED_TO_THE_END == 0
            endings.add(await (_one_run(life, stops, wired.clock) if whole else _entry_only(life, wired)))
            made = list(venue.state.orders)[orders_before:]
            ids = [order.client_id for order in made]
            assert len(ids) == len(set(ids)), f"an id was executed twice: {ids}"
            assert [order.side for order in made].count(Side.BUY) <= 1
            bought = [f.quantity for f in venue.state.fills[fills_before:] if f.side is Side.BUY]
            assert sum(bought, Decimal(0)) in (0, QUANTITY)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {rules_of(seed)}: {error}") from error
        emulator.faults.remove()
        emulator.limiter.pardon()
    assert endings == {"confirmed", "found", "absent", "held"}


def _rule(row: dict[str, Any]) -> Rule:
    return Rule(
        effect=row["effect"],
        match=Match(**row["match"]),
        when=When(row.get("when", "instead")),
        times=row.get("times"),
    )


async def test_the_same_seeds_double_the_orders_of_a_client_that_sends_again(wired: Wired) -> None:
    """What the runs above prove is not that nothing goes wrong."""
    emulator, doubled = wired.emulator, 0
    await wired.client.filters()
    for seed in range(100):
        for rule in rules_of(seed):
            emulator.faults.add(_rule(rule))
        request = market(Side.BUY, str(QUANTITY))
        for _ in range(3):
            outcome = await wired.client.place_order(request)
            if isinstance(outcome, Confirmed):
                break
            request = market(Side.BUY, str(QUANTITY), client_id=new_id())
        emulator.advance(emulator.now_ms + 10_000)
        doubled += emulator.venue.position(BTC).quantity > QUANTITY
        emulator.faults.remove()
        emulator.limiter.pardon()
        closing = market(Side.SELL, "1", reduce_only=True)
        emulator.venue.place_order(closing)
    assert doubled > 50


@pytest.fixture
async def ground(simulator: Launched) -> AsyncIterator[OverHttp]:  # noqa: F811
    async with cleared(simulator) as over_http:
        yield over_http


async def test_r16_r17_nor_does_any_over_a_real_connection(ground: OverHttp) -> None:
    async def held() -> Decimal:
        rows = (await ground.sim("GET", "account"))["positions"]
        return sum((Decimal(row["quantity"]) for row in rows), Decimal(0))

    async def stops() -> list[AlgoOrder]:
        return await ground.exchange.open_algos(BTC)

    life = Life(ground.exchange, Executor(ground.exchange, ground.clock), held)
    for seed in range(RUNS_OVER_HTTP):
        for rule in rules_of(seed):
            await ground.fault(**rule)
        await _one_run(life, stops, ground.clock)
        await ground.sim("DELETE", "faults")
        sent = [row["params"]["newClientOrderId"] for row in await ground.requests() if _executed_buy(row)]
        assert len(sent) == len(set(sent)) <= 1
        await ground.sim("DELETE", "log")


def _executed_buy(row: dict[str, Any]) -> bool:
    params = row["params"]
    return row["method"] == "POST" and row["path"] == ORDER and params["side"] == "BUY" and row["status"] == 200
