"""The private stream: who hears what, in which order, and when it falls silent (R31, R32)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange.binance.codec_events import user_event
from exchange.events import AccountChanged, AlgoChanged, OrderChanged

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000


def kinds(frames: list[Any]) -> list[str]:
    return [frame["e"] for frame in frames]


async def test_a_market_order_is_told_from_new_to_the_account(bench: Any) -> None:
    async with bench.user_socket() as socket:
        await bench.order("BUY", "0.01", newClientOrderId="e-1")
        frames = await socket.waiting()
    assert kinds(frames) == ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]
    assert [(f["o"]["x"], f["o"]["X"]) for f in frames if f["e"] == "ORDER_TRADE_UPDATE"] == [
        ("NEW", "NEW"),
        ("TRADE", "FILLED"),
    ]
    assert "n" not in frames[0]["o"]
    assert (frames[2]["o"]["L"], frames[2]["o"]["n"], frames[2]["o"]["t"]) == ("60012.00", "0.30006000", 1)
    assert frames[1]["t"] == frames[2]["o"]["t"]
    position = frames[3]["a"]["P"][0]
    assert (frames[3]["a"]["m"], position["pa"], position["mt"]) == ("ORDER", "0.01", "cross")
    assert frames[3]["a"]["B"][0]["wb"] == "9999.69994000"


async def test_a_stop_is_told_as_recorded_on_the_exchange(bench: Any) -> None:
    async with bench.user_socket() as socket:
        await bench.order("BUY", "0.01")
        await bench.algo("SELL", "STOP_MARKET", "59000", closePosition="true", clientAlgoId="sl")
        await bench.algo("SELL", "TAKE_PROFIT_MARKET", "65000", closePosition="true", clientAlgoId="tp")
        await socket.waiting()
        await bench.advance(HOUR_MS)
        frames = await socket.waiting()
    told = [(frame["o"]["caid"], frame["o"]["X"]) if frame["e"] == "ALGO_UPDATE" else frame["e"] for frame in frames]
    assert told == [
        ("sl", "TRIGGERING"), ("sl", "TRIGGERED"), "ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE",
        "ACCOUNT_UPDATE", ("sl", "FINISHED"), ("tp", "EXPIRED"),
    ]  # fmt: skip
    triggering, triggered, finished = (frames[number]["o"] for number in (0, 1, 6))
    assert (triggering["ai"], "ap" in triggering) == ("", False)
    assert (triggered["aq"], triggered["act"], triggered["ai"]) == ("0", "MARKET", str(frames[2]["o"]["i"]))
    assert (finished["aq"], finished["ap"]) == ("0.01", "58988.20000000")
    assert [frame["T"] for frame in frames] == sorted(frame["T"] for frame in frames)


async def test_the_clients_own_codec_reads_every_event(bench: Any) -> None:
    async with bench.user_socket() as socket:
        await bench.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=5)
        await bench.order("BUY", "0.01")
        await bench.algo("SELL", "STOP_MARKET", "59000", closePosition="true")
        await bench.advance(HOUR_MS)
        read = [user_event(frame) for frame in await socket.waiting()]
    assert {type(event).__name__ for event in read} == {
        "SettingsChanged", "OrderChanged", "TradeTold", "AccountChanged", "AlgoChanged",
    }  # fmt: skip
    quantities = [event.positions[0].quantity for event in read if isinstance(event, AccountChanged)]
    assert quantities == [Decimal("0.01"), 0]
    assert [event.algo_order.status for event in read if isinstance(event, AlgoChanged)][-1] == "FINISHED"
    assert [event.fill.price for event in read if isinstance(event, OrderChanged) and event.fill]


async def test_only_events_that_are_named_are_heard(bench: Any) -> None:
    async with bench.user_socket("ACCOUNT_UPDATE") as socket:
        await bench.order("BUY", "0.01")
        await bench.sim("POST", "streams", action="expire_listen_key")
        assert kinds(await socket.waiting()) == ["ACCOUNT_UPDATE"]


@pytest.mark.parametrize(
    ("path", "hears"),
    [
        ("/private/ws?listenKey={key}", True),
        ("/private/stream?listenKey={key}&events=ACCOUNT_UPDATE", True),
        ("/private/ws/{key}", False),
        ("/private/ws?listenKey=bogus&events=ACCOUNT_UPDATE", False),
        ("/market/ws?listenKey={key}&events=ACCOUNT_UPDATE", False),
        ("/public/ws?listenKey={key}", False),
        ("/ws/{key}", False),
        ("/ws?listenKey={key}", False),
    ],
)
async def test_every_form_connects_and_not_every_form_hears(bench: Any, path: str, hears: bool) -> None:
    key = await bench.key_of_stream()
    async with bench.socket(path.format(key=key)) as socket:
        await bench.order("BUY", "0.01")
        assert bool(await socket.waiting()) is hears


async def test_the_strict_reading_hears_only_with_a_list_of_events(bench: Any) -> None:
    bench.emulator.user_feed.strict = True
    key = await bench.key_of_stream()
    forms = ("/private/ws?listenKey={}", "/private/ws?listenKey={}&events=ACCOUNT_UPDATE")
    async with bench.socket(forms[0].format(key)) as loose, bench.socket(forms[1].format(key)) as listed:
        await bench.order("BUY", "0.01")
        assert await loose.waiting() == []
        assert kinds(await listed.waiting()) == ["ACCOUNT_UPDATE"]


async def test_the_official_sdks_way_is_to_subscribe_the_key(bench: Any) -> None:
    key = await bench.key_of_stream()
    async with bench.socket("/private/stream") as socket:
        assert await socket.ask("SUBSCRIBE", key) == {"result": None, "id": 7}
        await bench.order("BUY", "0.01")
        frames = await socket.waiting()
        assert {frame["stream"] for frame in frames} == {key}
        await socket.ask("UNSUBSCRIBE", key)
        await bench.order("BUY", "0.01")
        assert await socket.waiting() == []


async def test_in_stream_mode_an_event_is_wrapped(bench: Any) -> None:
    key = await bench.key_of_stream()
    async with bench.socket(f"/private/stream?listenKey={key}&events=TRADE_LITE") as socket:
        await bench.order("BUY", "0.01")
        (frame,) = await socket.waiting()
    assert frame["stream"] == "TRADE_LITE"
    assert frame["data"]["e"] == "TRADE_LITE"


async def test_an_expired_key_is_told_once_and_then_the_socket_is_open_and_silent(bench: Any) -> None:
    async with bench.user_socket() as socket:
        await bench.sim("POST", "streams", action="expire_listen_key")
        (frame,) = await socket.waiting()
        assert frame["e"] == "listenKeyExpired"
        await bench.order("BUY", "0.01")
        assert await socket.waiting() == []
        assert socket.closed is None
        assert (await bench.http.put("/fapi/v1/listenKey", headers=bench.key)).json()["code"] == -1125


async def test_a_key_lives_an_hour_of_real_time_from_its_last_extension(bench: Any) -> None:
    await bench.key_of_stream()
    bench.time.seconds += 3_599
    assert not bench.emulator.listen_keys.is_overdue
    assert (await bench.http.put("/fapi/v1/listenKey", headers=bench.key)).status_code == 200
    bench.time.seconds += 3_600
    assert bench.emulator.listen_keys.is_overdue


async def test_deleting_the_key_closes_its_streams(bench: Any) -> None:
    async with bench.user_socket() as socket:
        await bench.http.delete("/fapi/v1/listenKey", headers=bench.key)
        assert await socket.next() is None
        assert socket.closed == 1000


async def test_funding_of_an_isolated_position_names_it_and_of_a_crossed_one_does_not(make_bench: Any) -> None:
    due_ms = 1_735_689_600_000 + 56 * HOUR_MS
    for margin_type, positions in (("ISOLATED", 1), ("CROSSED", 0)):
        bench = make_bench(rates={due_ms: 0.0001})
        await bench.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType=margin_type)
        await bench.order("BUY", "0.01")
        async with bench.user_socket() as socket:
            await bench.advance(8 * HOUR_MS)
            (frame,) = await socket.waiting()
        assert (frame["T"], frame["a"]["m"], len(frame["a"]["P"])) == (due_ms, "FUNDING_FEE", positions)
        assert frame["a"]["B"][0]["bc"] == "-0.06000000"
