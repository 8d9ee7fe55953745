"""`doctor` against the emulator as a process, which plays every kind of account."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from exchange.client_ids import Leg, client_id
from exchange.sim.server.launch import Launched, launched
from fsm.cli.app import app
from store.database import open_store
from store.lock import ProcessLock
from tests.effort import sampled

ROOT = Path(__file__).parents[2]
OURS = ("BINANCE_", "SIM_", "TG_", "DASHBOARD_")
TOKEN = "123456:fake-token-of-a-test"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Launched]:
    with launched("--symbols", "BTCUSDT,ETHUSDT", "--seed", "7") as ready:
        yield ready


class Bench:
    """A working directory, an account on the emulator, and the command."""

    def __init__(self, folder: Path, emulator: Launched) -> None:
        self.folder = folder
        self.rest = emulator.rest
        self.env = {
            "BINANCE_ENV": "sim",
            "SIM_REST_URL": emulator.rest,
            "BINANCE_API_KEY": emulator.api_key,
            "BINANCE_API_SECRET": emulator.api_secret,
        }
        shutil.copy(ROOT / "rules.yaml", folder / "rules.yaml")
        self.enable("BTCUSDT", "ETHUSDT")

    def enable(self, *symbols: str, leverage: int = 2) -> None:
        rows = "".join(f"  {symbol}: {{enabled: true}}\n" for symbol in symbols)
        (self.folder / "config.yaml").write_text(f"version: 1\nsymbols:\n{rows}account: {{leverage: {leverage}}}\n")

    def act(self, **deed: Any) -> Any:
        answer = httpx.post(f"{self.rest}/sim/v1/account", json=deed, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, **rule: Any) -> None:
        answer = httpx.post(f"{self.rest}/sim/v1/faults", json={"rules": [rule]}, trust_env=False)
        assert answer.status_code == 200, answer.text

    def restore(self) -> None:
        """Everything as it was: the emulator serves the next test too."""
        httpx.delete(f"{self.rest}/sim/v1/faults", trust_env=False)
        account = self.act(action="modes", modes={})
        for position in account["positions"]:
            if float(position["quantity"]):
                self.act(action="close", symbol=position["symbol"])
        for order in account["orders"]:
            self.act(action="vanish", orderId=order["order_id"])

    def run(self, *args: str) -> Result:
        """The command, in this process: its folder is the present one, its environment is ours."""
        return CliRunner().invoke(app, ["doctor", *args], env=self.env)

    def run_as_process(self, *args: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return subprocess.run(
            [sys.executable, "-m", "fsm", "doctor", *args],
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(ROOT), **self.env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ask(self, *args: str) -> tuple[int, dict[str, Any]]:
        """Exit code, and the checks by their names."""
        ended = self.run("--json", *args)
        found = json.loads(ended.stdout)
        assert found["ready"] is (ended.exit_code == 0)
        return ended.exit_code, {row["check"]: row for row in found["checks"]}

    def only_failure(self, *args: str) -> dict[str, Any]:
        """The one check that failed."""
        code, checks = self.ask(*args)
        assert code == 3
        (failed,) = [row for row in checks.values() if row["verdict"] == "fail"]
        assert failed["advice"]
        return failed


@pytest.fixture
def bench(tmp_path: Path, emulator: Launched, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    made = Bench(tmp_path, emulator)
    yield made
    made.restore()


class TestAGoodAccount:
    def test_it_is_ready_and_says_what_it_saw(self, bench: Bench) -> None:
        ended = bench.run_as_process()
        assert ended.returncode == 0, ended.stdout + ended.stderr
        lines = ended.stdout.splitlines()
        assert all(line.startswith(("ok ", "skip")) for line in lines[:-2])
        assert lines[-1].startswith("Ready to start on sim: ")
        assert not list(bench.folder.glob("var/*")), "an examination leaves nothing behind"

    def test_a_stop_is_placed_read_back_and_cancelled_and_nothing_else_changes(self, bench: Bench) -> None:
        """R1."""
        httpx.delete(f"{bench.rest}/sim/v1/log", trust_env=False)
        _, checks = bench.ask()
        assert "PROVED" in checks["protection"]["seen"]
        log = httpx.get(f"{bench.rest}/sim/v1/log", trust_env=False).json()["requests"]
        writes = [f"{row['method']} {row['path']}" for row in log if row["method"] != "GET"]
        assert writes == ["POST /fapi/v1/algoOrder", "DELETE /fapi/v1/algoOrder"]
        assert bench.act(action="modes", modes={})["algoOrders"] == []

    def test_commission_in_bnb_is_said_and_is_fine(self, bench: Bench) -> None:
        bench.act(action="modes", modes={"bnb_price": "600"})
        code, checks = bench.ask()
        assert code == 0
        assert "in BNB" in checks["fees"]["seen"]

    @pytest.mark.parametrize("path", ["/fapi/v1/feeBurn", "/fapi/v1/commissionRate"])
    def test_an_exchange_that_does_not_tell_its_fees_is_started_on_all_the_same(self, bench: Bench, path: str) -> None:
        body = {"code": -1099, "msg": "Not found, unauthenticated, or unauthorized"}
        bench.fault(match={"path": path}, effect={"status": 404, "body": body})
        code, checks = bench.ask()
        assert (code, checks["fees"]["verdict"]) == (0, "warn")
        assert "-1099" in checks["fees"]["seen"]


class TestTheKey:
    def test_an_unknown_key(self, bench: Bench) -> None:
        bench.env["BINANCE_API_KEY"] = "k" * 64
        failed = bench.only_failure()
        assert failed["check"] == "key"
        assert "-2015" in failed["seen"]

    def test_a_wrong_secret_which_is_never_shown(self, bench: Bench) -> None:
        bench.env["BINANCE_API_SECRET"] = secret = "s3cr3t" * 10
        failed = bench.only_failure()
        assert (failed["check"], "-1022" in failed["seen"]) == ("key", True)
        assert "BINANCE_API_SECRET" in failed["advice"]
        assert secret not in bench.run().stdout

    def test_no_key_at_all(self, bench: Bench) -> None:
        del bench.env["BINANCE_API_KEY"], bench.env["BINANCE_API_SECRET"]
        assert "no API key" in bench.only_failure()["seen"]

    def test_a_key_that_may_only_read(self, bench: Bench) -> None:
        bench.act(action="modes", modes={"key_trades": False})
        code, checks = bench.ask()
        assert code == 3
        assert checks["key permissions"]["seen"] == "the key may not trade futures"
        assert "enable futures trading" in checks["protection"]["advice"]

    def test_a_key_that_may_withdraw(self, bench: Bench) -> None:
        bench.act(action="modes", modes={"key_withdraws": True})
        failed = bench.only_failure()
        assert (failed["check"], failed["seen"]) == ("key permissions", "the key may withdraw")

    def test_a_key_that_works_from_every_address_is_warned_of(self, bench: Bench) -> None:
        bench.act(action="modes", modes={"key_restricted": False})
        code, checks = bench.ask()
        assert (code, checks["key permissions"]["verdict"]) == (0, "warn")
        assert "90 days" in checks["key permissions"]["advice"]

    def test_an_account_that_may_not_trade(self, bench: Bench) -> None:
        bench.act(action="modes", modes={"can_trade": False})
        code, checks = bench.ask()
        assert (code, checks["trading"]["verdict"]) == (3, "fail")


class TestTheAccount:
    def test_hedge_mode(self, bench: Bench) -> None:
        """R27."""
        bench.act(action="modes", modes={"hedge": True})
        code, checks = bench.ask()
        assert (code, checks["position mode"]["seen"]) == (3, "hedge")
        ended = bench.run_as_process()
        assert ended.returncode == 3
        assert "fail  position mode" in ended.stdout
        assert ended.stdout.splitlines()[-1].startswith("NOT READY to start on sim: ")

    def test_multi_assets_mode(self, bench: Bench) -> None:
        bench.act(action="modes", modes={"multi_assets": True})
        assert bench.only_failure()["check"] == "assets mode"

    def test_r67_a_symbol_that_is_not_margined_in_usdt(self, bench: Bench) -> None:
        bench.act(action="rules", symbol="ETHUSDT", marginAsset="USDC")
        try:
            failed = bench.only_failure()
        finally:
            bench.act(action="rules", symbol="ETHUSDT", marginAsset="USDT")
        assert (failed["check"], failed["seen"]) == ("ETHUSDT", "its margin is USDC")

    def test_a_foreign_order_and_position_on_a_symbol_of_ours(self, bench: Bench) -> None:
        """R54."""
        params = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
        bench.act(action="order", params=params)
        failed = bench.only_failure()
        assert failed["check"] == "positions and orders"
        assert "BTCUSDT: position of 0.01" in failed["seen"]

    def test_foreign_things_on_other_symbols_are_worth_knowing_only(self, bench: Bench) -> None:
        bench.enable("ETHUSDT")
        params = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "20000"}
        bench.act(action="order", params={**params, "timeInForce": "GTC", "newClientOrderId": "by-hand"})
        code, checks = bench.ask()
        assert code == 0
        assert checks["positions and orders"]["verdict"] == "warn"
        assert "by-hand" in checks["positions and orders"]["seen"]

    def test_another_copy_of_the_bot_is_told_by_its_client_ids(self, bench: Bench) -> None:
        """R23."""
        other = client_id("0badc0de", "BTCUSDT", 3, Leg.ENTRY, 0, 1)
        params = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "20000"}
        bench.act(action="order", params={**params, "timeInForce": "GTC", "newClientOrderId": other})
        assert "another copy of this bot" in bench.only_failure()["seen"]

    def test_a_symbol_that_the_exchange_does_not_know(self, bench: Bench) -> None:
        bench.enable("BTCUSDT", "NOPEUSDT")
        failed = bench.only_failure()
        assert (failed["check"], "no usable filters" in failed["seen"]) == ("NOPEUSDT", True)

    def test_a_leverage_that_the_brackets_do_not_allow(self, bench: Bench) -> None:
        bench.enable("ETHUSDT", leverage=125)
        bench.fault(
            match={"path": "/fapi/v1/leverageBracket"},
            when="after",
            effect={"merge": {"brackets": {"initialLeverage": 50}}},
        )
        assert "the exchange allows 50" in bench.only_failure()["seen"]


class TestTheExchange:
    @pytest.mark.parametrize("jump_ms", sampled([3_000, 5_200, -60_000, -16 * 3_600_000], often=1))
    def test_a_clock_that_is_off_is_warned_of_and_does_not_keep_the_bot_from_starting(
        self, bench: Bench, jump_ms: int
    ) -> None:
        """R46, R76: the bot goes by the exchange's clock, whatever the machine's shows."""
        time_path = {"path": "/fapi/v1/time"}
        bench.fault(match=time_path, when="before", times=1, effect={"clock_jump_ms": jump_ms})
        code, checks = bench.ask()
        assert (code, checks["clock"]["verdict"]) == (0, "warn")
        assert "the bot goes by the exchange's" in checks["clock"]["advice"]
        bench.fault(match=time_path, when="before", times=1, effect={"clock_jump_ms": -jump_ms})
        assert bench.ask()[1]["clock"]["verdict"] == "ok"

    def test_filters_that_cannot_be_read(self, bench: Bench) -> None:
        bench.fault(
            match={"path": "/fapi/v1/exchangeInfo"}, when="after", effect={"merge": {"symbols": {"filters": []}}}
        )
        code, checks = bench.ask()
        assert code == 3
        assert {checks[name]["verdict"] for name in ("BTCUSDT", "ETHUSDT")} == {"fail"}
        assert checks["protection"]["verdict"] == "skip"

    def test_an_exchange_that_cannot_be_reached(self, bench: Bench) -> None:
        bench.env["SIM_REST_URL"] = "http://127.0.0.1:9"
        failed = bench.only_failure()
        assert failed["check"] == "reachable"

    def test_conditional_orders_that_are_not_taken(self, bench: Bench) -> None:
        """R1: -4120 anywhere is not ready."""
        body = {"code": -4120, "msg": "Order type not supported for this endpoint."}
        bench.fault(match={"path": "/fapi/v1/algoOrder", "method": "POST"}, effect={"status": 400, "body": body})
        assert "-4120" in bench.only_failure()["seen"]


class TestTheDatabase:
    @staticmethod
    def database(bench: Bench, *, environment: str, account: str | None) -> Path:
        path = bench.folder / "other.sqlite"
        with open_store(path, mode="write") as store:
            store.bind(environment=environment, account=account, at_ms=0)
        return path

    def test_of_another_environment(self, bench: Bench) -> None:
        path = self.database(bench, environment="mainnet", account=None)
        failed = bench.only_failure("--db", str(path))
        assert (failed["check"], "belongs to mainnet" in failed["seen"]) == ("database", True)

    def test_of_another_account(self, bench: Bench) -> None:
        path = self.database(bench, environment="sim", account="someone else")
        assert bench.only_failure("--db", str(path))["check"] == "account"

    def test_in_use_by_a_bot_which_is_not_disturbed(self, bench: Bench) -> None:
        """R23."""
        path = self.database(bench, environment="sim", account=None)
        with ProcessLock(path):
            code, checks = bench.ask("--db", str(path))
        assert (code, checks["instance"]["verdict"]) == (0, "ok"), "a bot that runs is no fault"
        assert str(os.getpid()) in checks["instance"]["seen"]
        assert checks["protection"]["verdict"] == "skip"
        assert checks["key"]["verdict"] == "ok", "what only reads is asked all the same"


class TestTelegram:
    def test_a_good_token_and_chat_without_a_message(self, bench: Bench) -> None:
        with _telegram({"/getMe": 200, "/getChat?chat_id=42": 200}) as (url, asked):
            bench.env |= {"TG_BASE_URL": url, "TG_BOT_TOKEN": TOKEN, "TG_CHAT_ID": "42"}
            code, checks = bench.ask()
        assert (code, checks["telegram"]["verdict"]) == (0, "ok")
        assert asked == ["/getMe", "/getChat?chat_id=42"]

    def test_a_wrong_token_which_is_never_shown(self, bench: Bench) -> None:
        with _telegram({}) as (url, _):
            bench.env |= {"TG_BASE_URL": url, "TG_BOT_TOKEN": TOKEN, "TG_CHAT_ID": "42"}
            ended = bench.run()
        assert ended.exit_code == 3
        assert "TG_BOT_TOKEN is wrong" in ended.stdout
        assert TOKEN not in ended.stdout + ended.stderr

    def test_an_outage_is_no_reason_not_to_start(self, bench: Bench) -> None:
        """R51."""
        bench.env |= {"TG_BASE_URL": "http://127.0.0.1:9", "TG_BOT_TOKEN": TOKEN, "TG_CHAT_ID": "42"}
        code, checks = bench.ask()
        assert (code, checks["telegram"]["verdict"]) == (0, "warn")


class TestTheEmbeddedExchange:
    def test_it_is_started_for_the_examination_and_leaves_nothing(self, bench: Bench) -> None:
        bench.env = {"BINANCE_ENV": "sim"}
        code, checks = bench.ask()
        assert code == 0, checks
        assert "PROVED" in checks["protection"]["seen"]
        assert not list(bench.folder.glob("var/*"))


@contextmanager
def _telegram(answers: dict[str, int]) -> Iterator[tuple[str, list[str]]]:
    """Something on loopback that answers as Telegram does; gives its address and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix(f"/bot{TOKEN}")
            asked.append(path)
            status = answers.get(path, 401)
            body = json.dumps({"ok": status == 200, "result": {"username": "our_bot", "id": 42}}).encode()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
