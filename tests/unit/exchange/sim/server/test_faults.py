"""The fault menu: before, after or instead of what was asked for, chosen by rule and by seed (R16, R17, R20)."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance.signing import query, signed
from exchange.sim.server.faults import About, Faults, Match, Rule
from exchange.sim.server.presets import PRESETS

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000
ORDER = "/fapi/v1/order"


async def positions(bench: Any) -> list[str]:
    return [row["positionAmt"] for row in await bench.call("GET", "/fapi/v3/positionRisk")]


async def buy(bench: Any, **params: object) -> Any:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", **params}
    return await bench.send("POST", ORDER, **order)


@pytest.mark.parametrize(("when", "held"), [("instead", []), ("after", ["0.01"])])
@pytest.mark.parametrize("preset", ["unknown_503", "unknown_503_without_code", "unknown_503_text", "timeout_408"])
async def test_an_unknown_outcome_with_and_without_execution(bench: Any, preset: str, when: str, held: Any) -> None:
    await bench.fault(match={"method": "POST", "path": ORDER}, when=when, effect=preset)
    response = await buy(bench)
    assert response.status_code in (503, 408)
    assert "nknown" in response.text
    assert await positions(bench) == held


async def test_what_comes_true_later_is_an_event_that_stops_a_step(bench: Any) -> None:
    await bench.fault(match={"path": ORDER}, when="before", effect={"preset": "disconnect", "late_ms": 2_000})
    with pytest.raises(ConnectionResetError):
        await buy(bench)
    answer = await bench.advance(HOUR_MS, until_event=True)
    assert (answer["serverTime"], answer["reached"]) == (bench.emulator.now_ms, False)
    assert [event["event"] for event in answer["events"]][-1] == "ACCOUNT_UPDATE"
    assert await positions(bench) == ["0.01"]


async def test_an_unknown_outcome_that_comes_true_later(bench: Any) -> None:
    await bench.fault(
        match={"path": ORDER, "nth": 1}, when="before", effect={"preset": "unknown_503", "late_ms": 5_000}
    )
    assert (await buy(bench, newClientOrderId="late-1")).status_code == 503
    await bench.advance(4_999)
    asked = {"symbol": "BTCUSDT", "origClientOrderId": "late-1"}
    assert (await bench.call("GET", ORDER, **asked))["code"] == -2013
    async with bench.user_socket("ORDER_TRADE_UPDATE") as socket:
        await bench.advance(1)
        assert len(await socket.waiting()) == 2
    assert (await bench.call("GET", ORDER, **asked))["status"] == "FILLED"
    assert (await buy(bench, newClientOrderId="late-1")).status_code == 200  # filled: the id is free again


@pytest.mark.parametrize(
    ("preset", "status", "text"),
    [
        ("unavailable_503", 503, "Service Unavailable."),
        ("internal_503", 503, "-1001"),
        ("internal_500", 500, "-1000"),
        ("timeout_1007", 400, "-1007"),
        ("unexpected_1006", 400, "-1006"),
        ("firewall_403", 403, "<html>"),
        ("bad_gateway_502", 502, "<html>"),
        ("empty_200", 200, ""),
        ("engine_clock", 400, "-5028"),
        ("duplicate_id", 400, "-4116"),
        ("would_trigger", 400, "-2021"),
        ("needs_position", 400, "-4509"),
        ("closing_exists", 400, "-4130"),
        ("reduce_only_rejected", 400, "-2022"),
        ("margin_insufficient", 400, "-2019"),
        ("counterparty_price", 400, "-4131"),
    ],
)
async def test_an_answer_from_the_menu(bench: Any, preset: str, status: int, text: str) -> None:
    await bench.fault(match={"path": ORDER}, effect=preset)
    response = await buy(bench)
    assert response.status_code == status
    assert text in response.text
    assert await positions(bench) == []


async def test_throttling_spares_whatever_reduces(bench: Any) -> None:
    await bench.order("BUY", "0.02")
    await bench.fault(effect="throttled_503")
    assert (await bench.order("BUY", "0.01"))["code"] == -1008
    assert (await bench.algo("SELL", "STOP_MARKET", "59000", quantity="0.01"))["code"] == -1008
    assert "algoId" in await bench.algo("SELL", "STOP_MARKET", "59000", closePosition="true")
    assert "orderId" in await bench.order("SELL", "0.01", reduceOnly="true")
    assert (await bench.call("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT"))["code"] == 200


@pytest.mark.parametrize("tells", [True, False])
async def test_a_rate_limit_ends_by_itself_and_becomes_a_ban_for_who_goes_on(bench: Any, tells: bool) -> None:
    await bench.sim(
        "POST", "faults", settings={"retry_after": tells}, rules=[{"match": {"nth": 1}, "effect": "rate_limit_429"}]
    )
    answers = [await bench.http.get("/fapi/v1/time") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [429] * 10 + [418]
    assert (answers[0].headers.get("retry-after") == "10") is tells
    await bench.advance(120_000)
    assert (await bench.http.get("/fapi/v1/time")).status_code == 200


async def test_a_ban_says_until_when(bench: Any) -> None:
    await bench.fault(effect="ban_418", times=1)
    response = await bench.http.get("/fapi/v1/time")
    assert response.status_code == 418
    assert str(bench.emulator.now_ms + 120_000) in response.json()["msg"]
    await bench.sim("DELETE", "faults")
    assert (await bench.http.get("/fapi/v1/time")).status_code == 200


async def test_after_a_jump_of_the_clock_old_time_stamps_are_refused_and_new_ones_are_not(bench: Any) -> None:
    old_ms = bench.emulator.now_ms
    await bench.fault(match={"path": "/fapi/v1/ping"}, effect="clock_jump", times=1)
    await bench.get("/fapi/v1/ping")
    assert await bench.get("/fapi/v1/time") == {"serverTime": old_ms + 60_000}
    stale = signed(query({"timestamp": str(old_ms)}), bench.credentials.api_secret)
    refused = await bench.http.get(f"/fapi/v3/account?{stale}", headers=bench.key)
    assert refused.json()["code"] == -1021
    assert (await bench.send("GET", "/fapi/v3/account")).status_code == 200  # signed with the time just read
    assert (await bench.sim("GET", "clock"))["serverTime"] == old_ms  # candles do not jump with it


async def test_a_young_order_is_not_found_until_it_has_an_age(bench: Any) -> None:
    await bench.fault(match={"method": "GET", "path": "*rder", "order_age_ms_max": 2_000}, effect="not_found")
    placed = await bench.order("BUY", "0.01")
    await bench.algo("SELL", "STOP_MARKET", "59000", closePosition="true", clientAlgoId="sl")
    asked = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    assert (await bench.call("GET", ORDER, **asked))["code"] == -2013
    assert (await bench.call("GET", "/fapi/v1/algoOrder", clientAlgoId="sl"))["code"] == -2013
    await bench.advance(2_001)
    assert (await bench.call("GET", ORDER, **asked))["status"] == "FILLED"
    assert (await bench.call("GET", "/fapi/v1/algoOrder", clientAlgoId="sl"))["algoStatus"] == "NEW"


async def test_positions_lag_behind_by_one_change(bench: Any) -> None:
    await bench.fault(match={"path": "/fapi/v3/positionRisk", "nth": [1, 2]}, effect="stale_position")
    await bench.order("BUY", "0.01")
    assert await positions(bench) == []
    await bench.order("BUY", "0.02")
    assert await positions(bench) == ["0.01"]
    assert await positions(bench) == ["0.03"]


async def test_unknown_fields_and_values_appear_in_answers_and_events(bench: Any) -> None:
    await bench.fault(match={"path": ORDER}, when="after", effect={"merge": {"status": "NEW_ADL", "extra": [1]}})
    await bench.fault(about="event", match={"event": "ORDER_TRADE_UPDATE"}, effect={"merge": {"o": {"X": "NEW_ADL"}}})
    async with bench.user_socket("ORDER_TRADE_UPDATE") as socket:
        row = (await buy(bench)).json()
        frames = await socket.waiting()
    assert (row["status"], row["extra"], row["symbol"]) == ("NEW_ADL", [1], "BTCUSDT")
    assert [(frame["o"]["X"], frame["o"]["s"]) for frame in frames] == [("NEW_ADL", "BTCUSDT")] * 2
    await bench.fault(match={"path": "*/positionRisk"}, effect="extra_fields")
    assert "newField" in (await bench.call("GET", "/fapi/v3/positionRisk"))[0]


async def test_a_dropped_connection_has_no_answer_whether_it_happened_or_not(bench: Any) -> None:
    for when, held in (("instead", []), ("after", ["0.01"])):
        await bench.sim("DELETE", "faults")
        await bench.fault(match={"method": "POST"}, when=when, effect="disconnect")
        with pytest.raises(ConnectionResetError):
            await buy(bench)
        assert await positions(bench) == held
    assert (await bench.sim("GET", "log"))["requests"][-2]["status"] == 0


async def test_a_slow_answer_comes_after_its_delay(bench: Any) -> None:
    await bench.fault(match={"path": ORDER}, when="before", effect={"latency_ms": 1})
    assert (await buy(bench)).status_code == 200


async def test_events_go_missing_come_twice_and_come_late(bench: Any) -> None:
    trade = {"event": "ORDER_TRADE_UPDATE", "execution": "TRADE"}
    for effect, told in (
        ("missing", ["NEW", "ACCOUNT"]),
        ("twice", ["NEW", "TRADE", "TRADE", "ACCOUNT"]),
        ({"hold": 1}, ["NEW", "ACCOUNT", "TRADE"]),
    ):
        await bench.sim("DELETE", "faults")
        await bench.fault(about="event", match=trade, effect=effect)
        async with bench.user_socket("ORDER_TRADE_UPDATE/ACCOUNT_UPDATE") as socket:
            await bench.order("BUY", "0.01")
            frames = await socket.waiting()
        assert [frame["o"]["x"] if "o" in frame else "ACCOUNT" for frame in frames] == told


async def test_the_stream_falls_silent_or_is_cut_at_an_event(bench: Any) -> None:
    await bench.fault(about="event", match={"event": "TRADE_LITE"}, effect="expire_listen_key", times=1)
    await bench.fault(about="event", match={"event": "ACCOUNT_UPDATE", "nth": 2}, effect="cut_streams")
    async with bench.user_socket() as socket:
        await bench.order("BUY", "0.01")
        frames = await socket.waiting()
        assert [frame["e"] for frame in frames] == ["ORDER_TRADE_UPDATE", "TRADE_LITE", "listenKeyExpired"]
        await bench.order("BUY", "0.01")
        assert await socket.next() is None
        assert socket.closed == 1001


async def test_a_triggered_stop_is_rejected_or_stays_unfilled(make_bench: Any) -> None:
    for effect, status in (("rejected", "REJECTED"), ("unfilled", "FINISHED")):
        bench = make_bench([(60_000, 61_000, 58_000, 60_500)])
        await bench.fault(about="trigger", match={"symbol": "BTCUSDT"}, effect=effect)
        await bench.order("BUY", "0.01")
        await bench.algo("SELL", "STOP_MARKET", "59000", closePosition="true", clientAlgoId="sl")
        async with bench.user_socket("ALGO_UPDATE/ORDER_TRADE_UPDATE") as socket:
            await bench.advance(HOUR_MS)
            last = [frame["o"] for frame in await socket.waiting() if frame["e"] == "ALGO_UPDATE"][-1]
        assert last["X"] == status
        assert await positions(bench) == ["0.01"]
        if status == "REJECTED":
            assert last["rm"]
        else:
            assert last["aq"] == "0"


async def test_shallow_levels_fill_in_parts_and_let_the_rest_of_a_market_order_expire(bench: Any) -> None:
    await bench.sim("POST", "faults", settings={"depth_usdt": "600", "slippage": "0.01"})
    async with bench.user_socket("ORDER_TRADE_UPDATE") as socket:
        row = await bench.order("BUY", "0.1")
        frames = await socket.waiting()
    assert (row["status"], row["executedQty"]) == ("EXPIRED", "0.045")
    assert [frame["o"]["X"] for frame in frames] == ["NEW"] + ["PARTIALLY_FILLED"] * 5 + ["EXPIRED"]
    assert frames[-1]["o"]["er"] == "9"


class TestRules:
    def test_every_preset_can_be_used(self) -> None:
        faults = Faults(seed=1)
        about = {"missing": About.EVENT, "twice": About.EVENT, "late": About.EVENT}
        about |= {"rejected": About.TRIGGER, "unfilled": About.TRIGGER}
        for name in PRESETS:
            faults.add(Rule(effect=name, about=about.get(name, About.REQUEST)))

    def test_the_nth_and_every_nth_of_what_matches(self) -> None:
        faults = Faults(seed=1)
        faults.add(Rule(effect="disconnect", match=Match(path="/a*", nth=[2, 3])))
        faults.add(Rule(effect="disconnect", match=Match(every=4)))
        fired = [
            found.number if (found := faults.pick(About.REQUEST, {"path": path}, 0)) else 0
            for path in ("/b", "/a", "/ab", "/abc", "/a", "/b", "/b", "/b")
        ]
        assert fired == [0, 0, 1, 1, 0, 0, 0, 2]

    def test_a_probability_gives_the_same_for_the_same_seed(self) -> None:
        def run(seed: int) -> list[bool]:
            faults = Faults(seed)
            faults.add(Rule(effect="disconnect", probability=0.3))
            return [faults.pick(About.REQUEST, {}, 0) is not None for _ in range(1_000)]

        assert run(1) == run(1) != run(2)
        assert 250 < sum(run(1)) < 350

    def test_time_and_number_bound_a_rule(self) -> None:
        faults = Faults(seed=1)
        faults.add(Rule(effect="disconnect", match=Match(from_ms=10, until_ms=20), times=2))
        assert [faults.pick(About.REQUEST, {}, now) is not None for now in (9, 10, 11, 12, 20)] == [
            False, True, True, False, False,
        ]  # fmt: skip

    def test_a_rule_that_is_removed_is_gone(self) -> None:
        faults = Faults(seed=1)
        first, second = (faults.add(Rule(effect="disconnect")) for _ in range(2))
        assert (faults.remove(first), faults.remove(first), [armed.number for armed in faults.armed()]) == (
            1,
            0,
            [second],
        )


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"effect": "nonsense"}, "no preset 'nonsense'"),
        ({"effect": {}}, "says nothing"),
        ({"effect": {"status": "high"}}, "Expected `int | null`"),
        ({"effect": {"colour": "red"}}, "unknown field `colour`"),
        ({"effect": "disconnect", "colour": "red"}, "unknown field `colour`"),
        ({"effect": "disconnect", "match": {"colour": "red"}}, "unknown field `colour`"),
        ({"effect": "rejected"}, "means nothing for about: request"),
        ({"effect": "missing", "about": "event", "when": "after"}, "only requests have a before"),
        ({"effect": "unknown_503", "when": "before"}, "needs late_ms"),
        ({"effect": {"preset": "unknown_503", "late_ms": 5}}, "only with when: before"),
        ({"effect": "disconnect", "probability": 2}, "not between 0 and 1"),
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused_and_says_why(bench: Any, rule: Any, complaint: str) -> None:
    response = await bench.http.post("/sim/v1/faults", json=rule)
    assert response.status_code == 422
    assert complaint in response.json()["error"]
    assert (await bench.sim("GET", "faults"))["rules"] == []


async def test_rules_are_counted_and_taken_back(bench: Any) -> None:
    ids = (await bench.sim("POST", "faults", rules=[{"name": "a", "effect": "not_found", "match": {"nth": 2}}]))["ids"]
    for _ in range(3):
        await bench.get("/fapi/v1/time")
    (row,) = (await bench.sim("GET", "faults"))["rules"]
    assert (row["id"], row["matched"], row["fired"], row["rule"]["name"]) == (ids[0], 3, 1, "a")
    assert [entry.get("fault") for entry in (await bench.sim("GET", "log"))["requests"]] == [None, "a", None]
    assert (await bench.http.delete(f"/sim/v1/faults?id={ids[0]}")).json() == {"removed": 1}
