"""The way of docs/going-live.md, walked: simulator, paper, testnet, mainnet, with one folder and `.env` alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.server.launch import Launched, launched

ROOT = Path(__file__).parents[2]
WAY = ("sim", "paper", "testnet", "mainnet")
PATIENCE_S = 120.0
pytestmark = pytest.mark.slow
CONFIG = "version: 1\nsymbols: {BTCUSDT: {}}\nmarket_data: {history_candles: 400}\n"
MARKET = ("--data", str(shipped_folder()), "--start", "1748739550000", "--symbols", "BTCUSDT,ETHUSDT", "--speed", "1")


class Walker:
    """Somebody with a folder, two YAML files and an `.env`."""

    def __init__(self, folder: Path, there: Launched) -> None:
        self.folder, self._there = folder, there
        shutil.copy(ROOT / "rules.yaml", folder / "rules.yaml")
        (folder / "config.yaml").write_text(CONFIG)
        own = {name: text for name, text in os.environ.items() if not name.startswith(("BINANCE_", "PAPER_", "SIM_"))}
        self._environment = {**own, "PYTHONPATH": str(ROOT)}
        self._command = [sys.executable, str(ROOT / "tests" / "integration" / "on_loopback.py"), there.rest, there.ws]

    def switch(self, name: str) -> None:
        """What stands in `.env` at this step."""
        there = self._there
        keys = f"BINANCE_API_KEY={there.api_key}\nBINANCE_API_SECRET={there.api_secret}\n"
        of_paper = f"PAPER_REST_URL={there.rest}\nPAPER_WS_URL={there.ws}\n"
        more = {"sim": "", "paper": of_paper}.get(name, keys)
        (self.folder / ".env").write_text(f"BINANCE_ENV={name}\n{more}")
        (self.folder / ".env").chmod(0o600)

    def fsm(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *words], cwd=self.folder, env=self._environment, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    def asked(self, *words: str) -> Any:
        return json.loads(self.fsm(*words, "--json").stdout)

    def runs_and_ends(self) -> None:
        """Until the bot lives and the account is known, then SIGTERM."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*self._command, "run", "--no-web"], cwd=self.folder, env=self._environment, stdout=log, stderr=log
            )
        try:
            until_s = time.monotonic() + PATIENCE_S
            while self.fsm("status", "--protecting").returncode:
                assert process.poll() is None, (self.folder / "log").read_text()[-3000:]
                assert time.monotonic() < until_s, (self.folder / "log").read_text()[-3000:]
                Event().wait(0.3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the commands of the checklist said at each step of the way, and in the end."""
    found: dict[str, dict[str, Any]] = {}
    with launched(*MARKET) as there:
        walker = Walker(tmp_path_factory.mktemp("way"), there)
        files = [(walker.folder / name).read_bytes() for name in ("config.yaml", "rules.yaml")]
        for name in WAY:
            walker.switch(name)
            found[name] = {"check": walker.fsm("check"), "doctor": walker.fsm("doctor")}
            walker.runs_and_ends()
            found[name] |= {"status": walker.asked("status"), "verify": walker.fsm("audit", "verify")}
            found[name]["replay"] = walker.fsm("replay", f"var/{name}.sqlite")
        found["end"] = {
            "databases": sorted(path.name for path in (walker.folder / "var").glob("*.sqlite")),
            "of another": walker.fsm("run", "--no-web", "--db", "var/testnet.sqlite"),
            "files are the same": files == [
                (walker.folder / name).read_bytes() for name in ("config.yaml", "rules.yaml")
            ],
        }  # fmt: skip
    return found


@pytest.mark.parametrize("name", WAY)
def test_each_step_is_checked_found_ready_run_and_verified(walked: dict[str, dict[str, Any]], name: str) -> None:
    step = walked[name]
    assert step["check"].returncode == 0, step["check"].stderr
    assert step["doctor"].returncode == 0, step["doctor"].stdout
    assert f"Ready to start on {name}: " in step["doctor"].stdout
    assert step["status"]["environment"] == name
    assert step["status"]["account"]["equity"] is not None
    assert step["verify"].returncode == 0, step["verify"].stdout
    assert "different: 0" in step["replay"].stdout


def test_each_has_a_database_of_its_own_and_none_is_taken_for_another(walked: dict[str, dict[str, Any]]) -> None:
    assert walked["end"]["databases"] == sorted(f"{name}.sqlite" for name in WAY)
    refused = walked["end"]["of another"]
    assert refused.returncode == 3
    assert "testnet" in refused.stderr
    assert "mainnet" in refused.stderr
    assert walked["end"]["files are the same"]


def test_real_money_is_said_and_begins_with_small_steps(walked: dict[str, dict[str, Any]]) -> None:
    assert "MAINNET" in walked["mainnet"]["doctor"].stdout
    assert "MAINNET" not in walked["testnet"]["doctor"].stdout
    assert walked["mainnet"]["status"]["account"]["small_steps"]
    assert not walked["testnet"]["status"]["account"]["small_steps"]
