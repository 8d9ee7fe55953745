"""The simulator as a process: how it starts, is spoken to over real sockets, saves, and ends (R8, R17)."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from websockets.asyncio.client import connect

from exchange.binance.client import BinanceClient
from exchange.binance.listen_keys import ListenKeys
from exchange.binance.market_stream import MarketStream
from exchange.binance.signing import query, signed
from exchange.binance.user_stream import UserStream
from exchange.events import Resync, StreamEvent
from exchange.secrets import Credentials, Secret
from exchange.sim.__main__ import main
from exchange.sim.server.launch import Launched, launched, ready, start
from exchange.types import (
    AlgoRequest,
    ConditionalType,
    Confirmed,
    LookRequest,
    MarginType,
    OrderRequest,
    OrderType,
    Side,
    WorkingType,
)
from indicators.candle import Timeframe

HOUR_MS = 3_600_000
PATIENCE_S = 120.0
QUIET = ("--symbols", "BTCUSDT", "--speed", "0", "--start", "2024-10-01", "--seed", "3")


def call(sim: Launched, method: str, path: str, **params: object) -> httpx.Response:
    """A signed request at the simulator's own time."""
    with httpx.Client(base_url=sim.rest, trust_env=False) as client:
        now_ms = client.get("/fapi/v1/time").json()["serverTime"]
        text = query({**{name: str(value) for name, value in params.items()}, "timestamp": str(now_ms)})
        url = f"{path}?{signed(text, Secret(sim.api_secret))}"
        return client.request(method, url, headers={"X-MBX-APIKEY": sim.api_key})


def control(sim: Launched, path: str, **body: object) -> Any:
    return httpx.post(f"{sim.rest}/sim/v1/{path}", json=body, trust_env=False).json()


def buy(sim: Launched, **params: object) -> httpx.Response:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", **params}
    return call(sim, "POST", "/fapi/v1/order", **order)


def held(sim: Launched) -> list[str]:
    return [row["positionAmt"] for row in call(sim, "GET", "/fapi/v3/positionRisk").json()]


@pytest.fixture(scope="module")
def sim() -> Iterator[Launched]:
    with launched(*QUIET) as found:
        yield found


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "exchange.sim", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


class TestStarting:
    def test_the_first_line_has_everything_a_client_needs(self, sim: Launched) -> None:
        assert sim.rest.startswith("http://127.0.0.1:")
        assert sim.ws == sim.rest.replace("http", "ws")
        assert (len(sim.api_key), len(sim.api_secret)) == (64, 64)
        assert (sim.symbols, sim.data_end) == (["BTCUSDT"], 1_751_328_000_000)
        clock = httpx.get(f"{sim.rest}/sim/v1/clock", trust_env=False).json()
        assert clock == {"serverTime": 1_727_740_800_000, "speed": 0.0, "data_end": sim.data_end, "ended": False}

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (("--start", "tomorrow"), "write 2025-06-30"),
            (("--start", "2031-01-01"), "outside the data"),
            (("--speed", "-1"), "--speed"),
            (("--speed", "nan"), "--speed"),
            (("--balance", "much"), "no amount"),
            (("--balance", "0"), "nothing to trade with"),
            (("--symbols", "NOPEUSDT"), "NOPEUSDT: no candles"),
            (("--data", "/nowhere"), "/nowhere: no such folder"),
            (("--faults", "/nowhere.yaml"), "/nowhere.yaml: cannot be read"),
        ],
    )
    def test_bad_usage_is_exit_2_with_a_reason(self, options: tuple[str, ...], complaint: str) -> None:
        done = CliRunner().invoke(main, options)
        assert (done.exit_code, done.stdout) == (2, "")
        assert complaint in done.stderr

    def test_a_port_that_is_taken_is_exit_3(self, sim: Launched) -> None:
        done = run(*QUIET, "--port", sim.rest.rpartition(":")[2])
        assert done.returncode == 3
        assert "in use" in done.stderr

    def test_faults_can_be_there_from_the_start(self, tmp_path: Path) -> None:
        path = tmp_path / "faults.yaml"
        path.write_text("rules:\n  - {match: {path: /fapi/v1/order}, when: after, effect: unknown_503}\n")
        with launched(*QUIET, "--faults", str(path)) as sim:
            assert buy(sim).status_code == 503
            assert held(sim) == ["0.01"]


class TestEnding:
    def test_sigterm_saves_and_the_next_start_goes_on(self, tmp_path: Path) -> None:
        options = (*QUIET, "--state", str(tmp_path / "exchange.json"))
        process = start(*options)
        first = ready(process)
        assert buy(first).status_code == 200
        control(first, "advance", ms=5 * HOUR_MS + 1)
        refused = run(*options)
        assert (refused.returncode, "another simulation" in refused.stderr) == (3, True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        with launched(*options, "--start", "2024-01-05") as second:
            assert (held(second), second.api_key) == (["0.01"], first.api_key)
            clock = httpx.get(f"{second.rest}/sim/v1/clock", trust_env=False).json()
            assert clock["serverTime"] == 1_727_740_800_000 + 5 * HOUR_MS + 1

    def test_a_violent_death_loses_nothing_that_was_saved(self, tmp_path: Path) -> None:
        path = tmp_path / "exchange.json"
        process = start(*QUIET, "--state", str(path))
        sim = ready(process)
        assert buy(sim, newClientOrderId="before-death").status_code == 200
        while not path.exists() or "before-death" not in path.read_text():
            assert call(sim, "GET", "/fapi/v1/openOrders", symbol="BTCUSDT").status_code == 200
            control(sim, "faults", rules=[])
        process.kill()
        process.wait()
        with launched(*QUIET, "--state", str(path)) as again:
            assert held(again) == ["0.01"]

    def test_the_clock_stops_where_the_data_ends_and_the_server_stays(self) -> None:
        with launched("--symbols", "BTCUSDT", "--speed", "1e8", "--start", "2025-06-29") as sim:
            while not (clock := httpx.get(f"{sim.rest}/sim/v1/clock", trust_env=False).json())["ended"]:
                assert clock["serverTime"] <= sim.data_end
            assert clock["serverTime"] == sim.data_end
            assert httpx.get(f"{sim.rest}/fapi/v1/time", trust_env=False).json() == {"serverTime": sim.data_end}


class TestSockets:
    @pytest.mark.parametrize(("when", "more"), [("instead", 0), ("after", 1)])
    def test_a_connection_is_dropped_with_and_without_execution(self, sim: Launched, when: str, more: int) -> None:
        before = len(call(sim, "GET", "/fapi/v1/userTrades", symbol="BTCUSDT").json())
        control(
            sim, "faults", match={"method": "POST", "path": "/fapi/v1/order"}, when=when, effect="disconnect", times=1
        )
        with pytest.raises(httpx.RemoteProtocolError):
            buy(sim)
        assert len(call(sim, "GET", "/fapi/v1/userTrades", symbol="BTCUSDT").json()) == before + more

    def test_streams_speak_over_real_sockets(self, sim: Launched) -> None:
        async def listen() -> tuple[Any, Any]:
            market = connect(f"{sim.ws}/market/ws/btcusdt@kline_1h", proxy=None)
            user = connect(f"{sim.ws}/private/ws?listenKey={key}&events=ACCOUNT_UPDATE", proxy=None)
            async with market as candles, user as account, asyncio.timeout(PATIENCE_S):
                await asyncio.to_thread(buy, sim)
                told = json.loads(await account.recv())
                await asyncio.to_thread(control, sim, "advance", ms=HOUR_MS)
                return told, json.loads(await candles.recv())

        headers = {"X-MBX-APIKEY": sim.api_key}
        key = httpx.post(f"{sim.rest}/fapi/v1/listenKey", headers=headers, trust_env=False).json()["listenKey"]
        account, candle = asyncio.run(listen())
        assert account["e"] == "ACCOUNT_UPDATE"
        assert (candle["e"], candle["k"]["x"]) == ("kline", True)

    def test_a_wrong_address_refuses_the_handshake(self, sim: Launched) -> None:
        async def listen() -> None:
            async with connect(f"{sim.ws}/elsewhere", proxy=None):
                raise AssertionError("it was accepted")

        with pytest.raises(Exception, match="HTTP 403"):
            asyncio.run(listen())


class SimulatedClock:
    """The clock a client is given: the simulator's, read once, for one that stands."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def test_the_streams_of_this_product_hear_it() -> None:
    async def listen(sim: Launched, now_ms: int) -> set[str]:
        credentials, clock = Credentials(Secret(sim.api_key), Secret(sim.api_secret)), SimulatedClock(now_ms)
        client = BinanceClient(base_url=sim.rest, clock=clock, credentials=credentials)
        heard: asyncio.Queue[StreamEvent] = asyncio.Queue()
        common = {"base_urls": (sim.ws,), "clock": clock, "sink": heard.put_nowait}
        user = UserStream(keys=ListenKeys(client.http), **common)
        market = MarketStream(symbols=("BTCUSDT",), timeframes=(Timeframe.H1,), **common)
        tasks = [asyncio.ensure_future(stream.run()) for stream in (user, market)]
        kinds: set[str] = set()
        try:
            async with asyncio.timeout(PATIENCE_S):
                for _ in tasks:
                    assert isinstance(await heard.get(), Resync)
                await asyncio.to_thread(buy, sim)
                await asyncio.to_thread(control, sim, "advance", ms=HOUR_MS)
                while not kinds >= {"OrderChanged", "AccountChanged", "TradeTold", "CandleClosed"}:
                    kinds.add(type(await heard.get()).__name__)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await client.aclose()
        return kinds

    with launched(*QUIET) as sim:
        now_ms = httpx.get(f"{sim.rest}/sim/v1/clock", trust_env=False).json()["serverTime"]
        assert "Resync" not in asyncio.run(listen(sim, now_ms))


def test_the_clients_of_this_product_trade_against_it() -> None:
    async def trade(sim: Launched, now_ms: int) -> None:
        credentials = Credentials(Secret(sim.api_key), Secret(sim.api_secret))
        client = BinanceClient(base_url=sim.rest, clock=SimulatedClock(now_ms), credentials=credentials)
        try:
            filters = (await client.filters())["BTCUSDT"]
            assert filters.tradable
            assert len(await client.brackets("BTCUSDT")) > 5
            assert len(await client.candles("BTCUSDT", Timeframe.H4, limit=100)) == 100
            assert isinstance(await client.ensure_margin_type("BTCUSDT", MarginType.ISOLATED), Confirmed)
            assert isinstance(await client.ensure_leverage("BTCUSDT", 10), Confirmed)
            entry = OrderRequest(
                symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01"), client_id="entry"
            )
            assert isinstance(await client.place_order(entry), Confirmed)
            price = (await client.mark_price("BTCUSDT")).mark_price
            stop = AlgoRequest(
                symbol="BTCUSDT",
                side=Side.SELL,
                type=ConditionalType.STOP_MARKET,
                trigger_price=(price * Decimal("0.97")).quantize(Decimal("0.1")),
                working_type=WorkingType.MARK_PRICE,
                client_id="stop",
                close_position=True,
            )
            assert isinstance(await client.place_algo(stop), Confirmed)
            look = await client.look("BTCUSDT", LookRequest(fills_start_ms=now_ms, with_account=True))
            assert look.position is not None
            assert look.account is not None
            assert (look.position.quantity, len(look.fills)) == (Decimal("0.01"), 1)
            assert [(algo.client_id, algo.close_position) for algo in look.algo_orders] == [("stop", True)]
            assert look.account.wallet_balance < 10_000
        finally:
            await client.aclose()

    with launched(*QUIET) as sim:
        asyncio.run(trade(sim, httpx.get(f"{sim.rest}/sim/v1/clock", trust_env=False).json()["serverTime"]))


def test_its_process_is_given_no_key_and_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET_FILE", "TG_BOT_TOKEN", "DASHBOARD_TOKEN", "PING_URL"):
        monkeypatch.setenv(name, "planted-and-not-passed-on")
    with launched(*QUIET) as sim:
        assert b"PATH=" in Path(f"/proc/{sim.pid}/environ").read_bytes()
        assert b"planted" not in Path(f"/proc/{sim.pid}/environ").read_bytes()
