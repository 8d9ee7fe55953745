"""`data brackets`: leverage brackets of a coin that is not shipped, asked with a key or taken from a similar one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.sim.playback.rulebook import Rulebook
from exchange.sim.playback.symbols import shipped_brackets, shipped_folder
from exchange.sim.server.launch import launched

ROOT = Path(__file__).parents[4]
COIN = "OWNUSDT"


def fsm(folder: Path, *args: str, **settings: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("BINANCE_", "SIM_"))}
    return subprocess.run(
        [sys.executable, "-m", "fsm", *args],
        cwd=folder,
        env={**plain, "PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.yaml", "rules.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_the_table_of_a_similar_coin_is_taken_and_is_not_said_to_be_known(folder: Path) -> None:
    done = fsm(folder, "data", "brackets", COIN, "--like", "WIFUSDT")
    assert done.returncode == 0, done.stderr
    assert f"{COIN}: those of WIFUSDT" in done.stdout
    book = Rulebook.read([folder / "var/data"])
    assert book.brackets[COIN] == shipped_brackets()["WIFUSDT"]
    assert book.missing([COIN]).startswith(f"no filters are known of {COIN}")  # the brackets are
    assert json.loads((folder / "var/data/brackets.json").read_text())[0]["symbol"] == COIN


def test_those_that_were_there_stay(folder: Path) -> None:
    assert fsm(folder, "data", "brackets", COIN, "--like", "WIFUSDT").returncode == 0
    assert fsm(folder, "data", "brackets", "OTHERUSDT", "--like", COIN).returncode == 0
    book = Rulebook.read([folder / "var/data"])
    assert book.brackets[COIN] == book.brackets["OTHERUSDT"] == shipped_brackets()["WIFUSDT"]


def test_a_coin_that_nobody_knows_is_named(folder: Path) -> None:
    done = fsm(folder, "data", "brackets", COIN, "--like", "WIFUSD")
    assert done.returncode == 2
    assert "WIFUSD: no leverage brackets are known of it; did you mean WIFUSDT?" in done.stderr
    assert not (folder / "var").exists()


def test_without_keys_it_says_how_to_go_on(folder: Path) -> None:
    done = fsm(folder, "data", "brackets", COIN, BINANCE_ENV="mainnet")
    assert done.returncode == 2
    assert "the exchange tells leverage brackets to keys only, and there is none in .env" in done.stderr
    assert f"`data brackets {COIN} --like WIFUSDT`" in done.stderr


def test_with_a_key_the_exchange_is_asked(folder: Path) -> None:
    with launched("--data", str(shipped_folder()), "--speed", "60", "--symbols", "SOLUSDT") as exchange:
        where = {"BINANCE_ENV": "sim", "SIM_REST_URL": exchange.rest}
        keys = {"BINANCE_API_KEY": exchange.api_key, "BINANCE_API_SECRET": exchange.api_secret}
        done = fsm(folder, "data", "brackets", "SOLUSDT", **where, **keys)
        assert done.returncode == 0, done.stderr
        assert "SOLUSDT: asked of the exchange" in done.stdout
        (file,) = (folder / "var/data").glob("brackets-*.json")
        assert Rulebook.read([folder / "var/data"]).brackets["SOLUSDT"] == shipped_brackets()["SOLUSDT"]
        refused = fsm(folder, "data", "brackets", "NOPEUSDT", **where, **keys)
    assert refused.returncode == 2
    assert "NOPEUSDT: the exchange does not list it" in refused.stderr
    assert "NOPEUSDT" not in file.read_text()


def test_what_is_missing_of_a_coin_is_said_with_the_command() -> None:
    said = Rulebook.read([]).missing([COIN])
    assert f"`data brackets {COIN}` asks the exchange with the key in .env" in said
    assert f"`data brackets {COIN} --like WIFUSDT` takes the table of a similar coin" in said
