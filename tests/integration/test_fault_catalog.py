"""The fault menu over HTTP, row by row: what the client makes of it, and what it did next (the simulator's own log)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from exchange.binance.resolution import Absent, Found, StillUnknown
from exchange.errors import MalformedReply, RateLimited, Unreachable
from exchange.sim.server.launch import Launched
from exchange.types import AlgoStatus, Confirmed, LookRequest, OrderStatus, Refused, Side, Unknown
from indicators.candle import Timeframe
from tests.contract.conftest import anyio_backend, candles, simulator  # noqa: F401 - fixtures
from tests.contract.grounds import BTC, ETH, OverHttp, cleared
from tests.contract.requests import limit, market, stop
from tests.effort import sampled

pytestmark = pytest.mark.anyio
ORDER, ALGO, POSITION = "/fapi/v1/order", "/fapi/v1/algoOrder", "/fapi/v3/positionRisk"
PLACING, STOPPING = {"method": "POST", "path": ORDER}, {"method": "POST", "path": ALGO}
FLAT = Decimal(0)


@pytest.fixture
async def ground(simulator: Launched) -> AsyncIterator[OverHttp]:  # noqa: F811 - the fixture of that name
    async with cleared(simulator) as over_http:
        yield over_http


async def _held(ground: OverHttp) -> Decimal:
    """What is really held, past every fault."""
    rows = (await ground.sim("GET", "account"))["positions"]
    return sum((Decimal(row["quantity"]) for row in rows), FLAT)


async def _long(ground: OverHttp) -> None:
    assert isinstance(await ground.exchange.place_order(market(Side.BUY, "0.010")), Confirmed)
    await ground.sim("DELETE", "log")


NOBODY_KNOWS: list[tuple[str, str, int]] = [
    ("503 with code -1000", "unknown_503", 503),
    ("503 without a code", "unknown_503_without_code", 503),
    ("503 that is not JSON", "unknown_503_text", 503),
    ("503 with code -1001", "internal_503", 503),
    ("408", "timeout_408", 408),
    ("-1007", "timeout_1007", 400),
    ("-1006", "unexpected_1006", 400),
    ("500", "internal_500", 500),
    ("502 with an HTML page", "bad_gateway_502", 502),
    ("a dropped connection", "disconnect", 0),
    ("success without a body", "empty_200", 200),
]


@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
@pytest.mark.parametrize(
    ("effect", "status"), sampled([row[1:] for row in NOBODY_KNOWS], often=4), ids=[row[0] for row in NOBODY_KNOWS]
)
async def test_r16_r17_an_entry_of_unknown_fate_is_sent_once_and_then_looked_for(
    ground: OverHttp, effect: str, status: int, executed: bool
) -> None:
    await ground.fault(match=PLACING, effect=effect, when="after" if executed else "instead")
    request = market(Side.BUY, "0.010")
    assert isinstance(await ground.exchange.place_order(request), Unknown)
    assert await ground.asked() == [f"POST {ORDER} {status}"]
    resolution = await ground.exchange.resolve_order(BTC, request.client_id, quantity_before=FLAT)
    asked = await ground.asked()
    if executed:
        assert isinstance(resolution, Found)
        assert asked[1:] == [f"GET {ORDER} 200"]
    else:
        assert isinstance(resolution, Absent)
        assert asked[1:] == [f"GET {ORDER} 400"] * 6 + ["GET /fapi/v1/openOrders 200", f"GET {POSITION} 200"]
    assert await _held(ground) == (Decimal("0.010") if executed else 0)


async def test_r16_an_order_that_arrives_after_its_answer_is_found_by_looking_again(ground: OverHttp) -> None:
    await ground.fault(match=PLACING, when="before", effect={"preset": "unknown_503", "late_ms": 1_500})
    request = market(Side.BUY, "0.010")
    assert isinstance(await ground.exchange.place_order(request), Unknown)
    resolution = await ground.exchange.resolve_order(BTC, request.client_id, quantity_before=FLAT)
    assert isinstance(resolution, Found)
    assert (await ground.asked())[1:] == [f"GET {ORDER} 400"] * 3 + [f"GET {ORDER} 200"]
    assert await _held(ground) == Decimal("0.010")


async def test_r2_an_order_that_queries_do_not_show_yet_is_found_when_the_lag_is_over(ground: OverHttp) -> None:
    await ground.fault(match=PLACING, effect="unknown_503", when="after")
    await ground.fault(match={"method": "GET", "path": ORDER, "order_age_ms_max": 3_000}, effect="not_found")
    request = market(Side.BUY, "0.010")
    assert isinstance(await ground.exchange.place_order(request), Unknown)
    assert isinstance(await ground.exchange.resolve_order(BTC, request.client_id, quantity_before=FLAT), Found)
    assert (await ground.asked())[1:] == [f"GET {ORDER} 400"] * 4 + [f"GET {ORDER} 200"]


async def test_r20_a_lag_longer_than_the_search_is_betrayed_by_the_position(ground: OverHttp) -> None:
    await ground.fault(match=PLACING, effect="unknown_503", when="after")
    await ground.fault(match={"method": "GET", "path": ORDER}, effect="not_found")
    request = market(Side.BUY, "0.010")
    assert isinstance(await ground.exchange.place_order(request), Unknown)
    resolution = await ground.exchange.resolve_order(BTC, request.client_id, quantity_before=FLAT)
    assert isinstance(resolution, StillUnknown)
    assert "0.01" in resolution.reason
    assert (await ground.asked()).count(f"POST {ORDER} 503") == 1


async def test_a_position_that_lags_behind_its_fill_is_told_as_it_was(ground: OverHttp) -> None:
    await _long(ground)
    await ground.fault(match={"path": POSITION}, effect="stale_position", when="before", times=1)
    assert await ground.exchange.positions(BTC) == []
    [now] = await ground.exchange.positions(BTC)
    assert now.quantity == Decimal("0.010")


@pytest.mark.parametrize("effect", ["unavailable_503", "throttled_503"])
async def test_r17_what_certainly_did_not_happen_is_sent_again_under_the_same_id(ground: OverHttp, effect: str) -> None:
    await ground.fault(match=PLACING, effect=effect, times=2)
    request = market(Side.BUY, "0.010")
    assert isinstance(await ground.exchange.place_order(request), Confirmed)
    rows = await ground.requests()
    assert [row["status"] for row in rows] == [503, 503, 200]
    assert {row["params"]["newClientOrderId"] for row in rows} == {request.client_id}
    assert ground.clock.slept == [0.2, 0.4]
    assert await _held(ground) == Decimal("0.010")


@pytest.mark.parametrize(("effect", "code"), [("unavailable_503", 503), ("throttled_503", -1008)])
async def test_r17_an_overload_that_lasts_is_a_refusal_after_four_times(
    ground: OverHttp, effect: str, code: int
) -> None:
    await ground.fault(match=PLACING, effect=effect)
    outcome = await ground.exchange.place_order(market(Side.BUY, "0.010"))
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert await ground.asked() == [f"POST {ORDER} 503"] * 4
    assert await _held(ground) == 0


async def test_1008_leaves_everything_that_reduces_alone(ground: OverHttp) -> None:
    await _long(ground)
    await ground.fault(effect="throttled_503")
    protection = stop(Side.SELL, "58000")
    assert isinstance(await ground.exchange.place_algo(protection), Confirmed)
    assert isinstance(await ground.exchange.cancel_algo(BTC, protection.client_id), Confirmed)
    assert isinstance(await ground.exchange.place_order(market(Side.SELL, "0.010", reduce_only=True)), Confirmed)
    assert await ground.asked() == [f"POST {ALGO} 200", f"DELETE {ALGO} 200", f"POST {ORDER} 200"]
    assert await _held(ground) == 0


@pytest.mark.parametrize(("tells", "wait_ms"), [(True, 10_100), (False, 1_000)], ids=["Retry-After", "without"])
async def test_r45_after_429_nothing_is_read_or_entered_until_something_was_answered_again(
    ground: OverHttp, tells: bool, wait_ms: int
) -> None:
    await ground.fault(settings={"retry_after": tells})
    await ground.fault(match={"path": POSITION}, effect="rate_limit_429", times=1)
    with pytest.raises(RateLimited) as caught:
        await ground.exchange.positions(BTC)
    assert caught.value.retry_after_ms == wait_ms
    outcome = await ground.exchange.place_order(market(Side.BUY, "0.010"))
    assert isinstance(outcome, Refused)
    assert outcome.code == -1003
    assert await ground.asked() == [f"GET {POSITION} 429"]
    await ground.clock.sleep(10.1)
    assert await ground.exchange.positions(BTC) == []
    assert isinstance(await ground.exchange.place_order(market(Side.BUY, "0.010")), Refused), "entries last"
    await ground.clock.sleep(60)
    assert isinstance(await ground.exchange.place_order(market(Side.BUY, "0.010")), Confirmed)


async def test_r45_going_on_after_429_would_be_a_ban_and_a_ban_is_obeyed_to_its_end(ground: OverHttp) -> None:
    await ground.fault(match={"path": POSITION}, effect="ban_418", times=1)
    with pytest.raises(RateLimited) as caught:
        await ground.exchange.positions(BTC)
    assert caught.value.banned
    assert caught.value.retry_after_ms == 120_100
    await ground.clock.sleep(119)
    assert isinstance(await ground.exchange.place_order(market(Side.BUY, "0.010")), Refused)
    assert await ground.asked() == [f"GET {POSITION} 418"]
    await ground.clock.sleep(1.1)
    assert isinstance(await ground.exchange.place_order(market(Side.BUY, "0.010")), Confirmed), "nothing else wants it"


PAUSES = [
    # effect, when the stop reaches the exchange after the first refusal, in seconds
    ("firewall_403_lasting", [1, 3, 7, 15]),
    ("rate_limit_429", [10]),
    ("rate_limit_429_silent", [1, 3, 7, 15]),
    ("ban_418", [120]),
    ("ban_418_growing", [150]),  # the request that set it off made it longer, and no other one did
    ("ban_418_silent", [120]),
    ("order_limit_1015", [10]),
    ("order_limit_1015_silent", [1, 3, 7, 15]),
]


@pytest.mark.parametrize(("effect", "tries_s"), PAUSES, ids=[effect for effect, _ in PAUSES])
async def test_r56_a_pause_of_any_kind_holds_the_naked_stop_up_for_a_step_or_until_its_stated_end(
    ground: OverHttp, effect: str, tries_s: list[int]
) -> None:
    """Looks at other symbols go on asking all the while, and never have its place."""
    await _long(ground)
    ground.exchange.set_naked(BTC, True)
    await ground.fault(match={"path": ALGO, "method": "POST"}, effect=effect, times=1)
    began_ms = await ground.now_ms()
    protection = stop(Side.SELL, "58000")
    assert isinstance(await ground.exchange.place_algo(protection), Confirmed)
    tried = [row for row in await ground.requests() if row["path"] == ALGO and row["method"] == "POST"]
    waited_ms = [row["at_ms"] - began_ms for row in tried]
    assert [round(ms / 1_000) for ms in waited_ms] == [0, *tries_s]
    assert all(ms - tries_s[-1] * 1_000 <= 250 for ms in waited_ms)
    assert await ground.exchange.open_algos(BTC)
    assert ground.exchange.pause() is None


async def test_r56_looks_never_take_a_probe_from_a_naked_stop(ground: OverHttp) -> None:
    await _long(ground)
    await ground.fault(match={"path": POSITION}, effect="firewall_403_lasting", times=1)
    with pytest.raises(RateLimited):
        await ground.exchange.positions(ETH)
    ground.exchange.set_naked(BTC, True)
    looks = [ground.exchange.look(ETH, LookRequest()) for _ in range(10)]
    protection = ground.exchange.place_algo(stop(Side.SELL, "58000"))
    *looked, placed = await asyncio.gather(*looks, protection, return_exceptions=True)
    assert isinstance(placed, Confirmed)
    assert all(isinstance(found, RateLimited) for found in looked)
    assert {row["path"] for row in await ground.requests() if row["status"] == 403} == {POSITION, ALGO}


async def test_r84_a_stop_whose_answer_hangs_rests_at_once_by_its_next_attempt(ground: OverHttp) -> None:
    await _long(ground)
    ground.exchange.set_naked(BTC, True)
    await ground.fault(match={"path": ALGO, "method": "POST"}, effect={"latency_ms": 3_000}, when="after", times=1)
    protection = stop(Side.SELL, "58000")
    first = asyncio.ensure_future(ground.exchange.place_algo(protection))
    while not await ground.exchange.open_algos(BTC):
        assert not first.done()
    assert ground.exchange.has_left(protection.client_id)
    second = await ground.exchange.place_algo(protection)
    assert isinstance(second, Confirmed), "-4116 or -4130, looked up: ours rests"
    assert not first.done()
    assert isinstance(await first, Confirmed)


@pytest.mark.parametrize("jump_ms", [60_000, -60_000])
async def test_r46_a_clock_that_jumped_costs_one_measurement_and_one_more_try(ground: OverHttp, jump_ms: int) -> None:
    await ground.exchange.positions(BTC)
    await ground.sim("DELETE", "log")
    await ground.fault(match=PLACING, when="before", effect={"clock_jump_ms": jump_ms}, times=1)
    assert isinstance(await ground.exchange.place_order(market(Side.BUY, "0.010")), Confirmed)
    rows = (await ground.sim("GET", "log"))["requests"]
    told = [(row["path"], row["status"], row.get("code")) for row in rows]
    assert told == [(ORDER, 400, -1021), ("/fapi/v1/time", 200, None), (ORDER, 200, None)]
    await ground.fault(match={"path": POSITION}, when="before", effect={"clock_jump_ms": -jump_ms}, times=1)
    assert len(await ground.exchange.positions(BTC)) == 1


async def test_r46_the_matching_engines_clock_is_handled_alike_and_only_once(ground: OverHttp) -> None:
    await ground.fault(match=PLACING, effect="engine_clock")
    outcome = await ground.exchange.place_order(market(Side.BUY, "0.010"))
    assert isinstance(outcome, Refused)
    assert outcome.code == -5028
    assert await ground.asked() == [f"POST {ORDER} 400"] * 2


async def test_r16_4116_is_evidence_that_the_first_attempt_rests(ground: OverHttp) -> None:
    await ground.fault(match=PLACING, effect="disconnect", when="after", times=1)
    request = limit(Side.BUY, "0.010", "59000")
    assert isinstance(await ground.exchange.place_order(request), Unknown)
    again = await ground.exchange.place_order(request)
    assert isinstance(again, Confirmed)
    assert await ground.asked() == [f"POST {ORDER} 0", f"POST {ORDER} 400", f"GET {ORDER} 200"]
    assert len(await ground.exchange.open_orders(BTC)) == 1


async def test_r4_2021_is_a_refusal_at_once(ground: OverHttp) -> None:
    await _long(ground)
    outcome = await ground.exchange.place_algo(stop(Side.SELL, "60100"))
    assert isinstance(outcome, Refused)
    assert outcome.code == -2021
    assert await ground.asked() == [f"POST {ALGO} 400"]


async def test_r59_4509_is_a_refusal_at_once_since_a_look_comes_first(ground: OverHttp) -> None:
    outcome = await ground.exchange.place_algo(stop(Side.SELL, "58000"))
    assert isinstance(outcome, Refused)
    assert outcome.code == -4509
    assert await ground.asked() == [f"POST {ALGO} 400"]


async def test_r16_4130_means_ours_rests_or_somebody_elses_does(ground: OverHttp) -> None:
    await _long(ground)
    await ground.fault(match=STOPPING, effect="disconnect", when="after", times=1)
    ours = stop(Side.SELL, "58000")
    assert isinstance(await ground.exchange.place_algo(ours), Unknown)
    await ground.fault(match={**STOPPING, "client_id": ours.client_id}, effect="closing_exists", times=1)
    assert isinstance(await ground.exchange.place_algo(ours), Confirmed)
    other = await ground.exchange.place_algo(stop(Side.SELL, "58500"))
    assert isinstance(other, Refused)
    assert other.code == -4130
    asked = await ground.asked()
    assert asked[:3] == [f"POST {ALGO} 0", f"POST {ALGO} 400", f"GET {ALGO} 200"]
    assert asked[3:] == [f"POST {ALGO} 400", f"GET {ALGO} 400"]
    assert len(await ground.exchange.open_algos(BTC)) == 1


@pytest.mark.parametrize(("effect", "status"), [("rejected", AlgoStatus.REJECTED), ("unfilled", AlgoStatus.FINISHED)])
async def test_r11_a_stop_that_fired_and_sold_nothing_is_told_as_that(
    ground: OverHttp, effect: str, status: AlgoStatus
) -> None:
    await _long(ground)
    protection = stop(Side.SELL, "58000")
    await ground.exchange.place_algo(protection)
    await ground.fault(about="trigger", effect=effect)
    await ground.price("57900")
    found = await ground.exchange.algo(BTC, protection.client_id)
    assert found is not None
    assert (found.status, found.executed_quantity) == (status, 0)
    [position] = await ground.exchange.positions(BTC)
    assert position.quantity == Decimal("0.010")


async def test_partial_fills_are_told_one_by_one_and_add_up(ground: OverHttp) -> None:
    await ground.advance(1)
    await ground.depth("120")
    start_ms = await ground.now_ms()
    outcome = await ground.exchange.place_order(market(Side.BUY, "0.010"))
    assert isinstance(outcome, Confirmed)
    assert outcome.order is not None
    fills = await ground.exchange.fills(BTC, start_ms=start_ms)
    assert [fill.quantity for fill in fills] == [Decimal("0.002")] * 5
    assert {fill.order_id for fill in fills} == {outcome.order.order_id}


async def test_a_market_remainder_beyond_the_bound_expires_and_the_rest_is_held(ground: OverHttp) -> None:
    await ground.fault(settings={"depth_usdt": "120", "slippage": "0.02"})
    outcome = await ground.exchange.place_order(market(Side.BUY, "0.010"))
    assert isinstance(outcome, Confirmed)
    assert outcome.order is not None
    assert outcome.order.status is OrderStatus.EXPIRED
    assert Decimal(0) < outcome.order.executed_quantity < Decimal("0.010")
    assert await _held(ground) == outcome.order.executed_quantity


async def test_r56_a_firewalls_page_silences_reads_until_what_protects_was_answered(ground: OverHttp) -> None:
    await ground.fault(match={"path": POSITION}, effect="firewall_403", times=1)
    with pytest.raises(RateLimited) as caught:
        await ground.exchange.positions(BTC)
    assert caught.value.retry_after_ms == 1_000
    await ground.clock.sleep(30)
    with pytest.raises(RateLimited, match="not sent"):
        await ground.exchange.candles(BTC, Timeframe.H1, limit=1)
    assert await ground.asked() == [f"GET {POSITION} 403"]
    await ground.exchange.positions(BTC)
    assert len(await ground.exchange.candles(BTC, Timeframe.H1, limit=1)) == 1


@pytest.mark.parametrize(
    ("effect", "status", "error"),
    [("bad_gateway_502", 502, Unreachable), ("disconnect", 0, Unreachable), ("unknown_503", 503, Unreachable)],
)
async def test_a_read_is_tried_four_times_and_then_not_known(
    ground: OverHttp, effect: str, status: int, error: type[Exception]
) -> None:
    await ground.fault(match={"path": POSITION}, effect=effect)
    with pytest.raises(error):
        await ground.exchange.positions(BTC)
    assert await ground.asked() == [f"GET {POSITION} {status}"] * 4


async def test_success_without_a_body_is_malformed_for_a_read(ground: OverHttp) -> None:
    await ground.fault(match={"path": POSITION}, effect="empty_200")
    with pytest.raises(MalformedReply):
        await ground.exchange.positions(BTC)


async def test_unknown_fields_are_ignored_and_unknown_statuses_are_neither_open_nor_done(ground: OverHttp) -> None:
    await ground.fault(match={"method": "GET"}, when="after", effect="extra_fields", times=2)
    assert await ground.exchange.positions(BTC) == []
    request = limit(Side.BUY, "0.010", "59000")
    await ground.exchange.place_order(request)
    await ground.fault(match={"method": "GET", "path": ORDER}, when="after", effect="unknown_status")
    found = await ground.exchange.order(BTC, request.client_id)
    assert found is not None
    assert found.status is OrderStatus.UNRECOGNISED
    assert not found.status.is_open
    await _long(ground)
    protection = stop(Side.SELL, "58000")
    await ground.exchange.place_algo(protection)
    await ground.fault(match={"path": "/fapi/v1/openAlgoOrders"}, when="after", effect="unknown_algo_status")
    [listed] = await ground.exchange.open_algos(BTC)
    assert listed.status is AlgoStatus.UNRECOGNISED
