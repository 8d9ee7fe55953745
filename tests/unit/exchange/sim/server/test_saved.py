"""A simulation goes on where its state file says it was."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.sim.playback.symbols import shipped_exchange_info, shipped_folder
from exchange.sim.server.params import Params
from exchange.sim.server.routes_orders import place
from exchange.sim.server.saved import SavedState, StateError, StateFile, encode
from exchange.sim.server.setup import SettingError, SimulationSetup, build

HOUR_MS = 3_600_000
SETTING = SimulationSetup(symbols=("BTCUSDT",), start_ms=1_709_251_200_000 + 1_234_567, speed=0.0, seed=5)


def order(emulator: Any, **params: str) -> Any:
    given = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    return place(emulator, Params({**given, **params}))


def test_account_prices_clock_and_keys_are_those_of_before(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "var" / "exchange.json")
    file.lock()
    assert file.read() is None
    first = build(SETTING)
    order(first)
    order(first, type="LIMIT", price="50000", timeInForce="GTC", newClientOrderId="resting")
    first.advance(first.now_ms + 3 * HOUR_MS + 77)
    first.hidden.add(5)
    file.write(encode(first))

    second = build(SimulationSetup(symbols=("BTCUSDT",), speed=0.0), file.read())
    assert second.now_ms == first.now_ms
    assert second.hidden == {5}
    assert second.credentials == first.credentials
    assert encode(second) == encode(first)
    for emulator in (first, second):
        emulator.advance(emulator.now_ms + 50 * HOUR_MS)
    assert encode(second) == encode(first)


def test_a_file_is_used_by_one_simulation_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "exchange.json"
    first = StateFile(path)
    first.lock()
    with pytest.raises(StateError, match="another simulation is using it"):
        StateFile(path).lock()
    del first
    StateFile(path).lock()


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"version": 99}'])
def test_a_damaged_file_is_refused_and_named(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "exchange.json"
    path.write_bytes(body)
    with pytest.raises(StateError, match=r"exchange\.json: .*move it away"):
        StateFile(path).read()


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "exchange.json"
    emulator = build(SETTING)
    path.write_text(json.dumps({**json.loads(encode(emulator)), "version": 2}))
    with pytest.raises(StateError, match="another version"):
        StateFile(path).read()


def test_candles_of_what_was_traded_must_still_be_there() -> None:
    saved = msgspec.json.decode(encode(build(SETTING)), type=SavedState)
    with pytest.raises(SettingError, match="BTCUSDT"):
        build(SimulationSetup(symbols=("ETHUSDT",)), saved)


class TestWhatCanBeSimulated:
    def test_by_default_the_middle_of_all_the_shipped_data(self) -> None:
        emulator = build(SimulationSetup(balance=Decimal(5)))
        assert list(emulator.world.feeds) == ["BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
        first = emulator.world.feeds["BTCUSDT"].start_ms
        assert 0.45 < (emulator.now_ms - first) / (emulator.world.data_end_ms - first) < 0.55
        assert emulator.venue.account().wallet_balance == 5

    @pytest.mark.parametrize(
        ("setting", "complaint"),
        [
            (SimulationSetup(symbols=("NOPEUSDT",)), "no candles in the data; there are BTCUSDT"),
            (SimulationSetup(start_ms=5), "is outside the data"),
        ],
    )
    def test_what_cannot_be_is_refused(self, setting: SimulationSetup, complaint: str) -> None:
        with pytest.raises(SettingError, match=complaint):
            build(setting)

    def test_a_folder_can_bring_symbols_of_its_own(self, tmp_path: Path) -> None:
        row = next(row for row in shipped_exchange_info()["symbols"] if row["symbol"] == "SOLUSDT")  # type: ignore[attr-defined]
        brackets = json.loads((shipped_folder() / "brackets.json").read_text())
        table = next(entry for entry in brackets if entry["symbol"] == "SOLUSDT")
        (tmp_path / "symbols.json").write_text(json.dumps({"symbols": [{**row, "symbol": "CLONEUSDT"}]}))
        (tmp_path / "brackets.json").write_text(json.dumps([{**table, "symbol": "CLONEUSDT"}]))
        for name in ("CLONEUSDT", "OTHERUSDT"):
            (tmp_path / f"{name}-1h.csv.gz").write_bytes((shipped_folder() / "SOLUSDT-1h.csv.gz").read_bytes())
        emulator = build(SimulationSetup(folders=(tmp_path,)))
        assert list(emulator.world.feeds) == ["CLONEUSDT"]
        assert emulator.state.filters["CLONEUSDT"].tick_size == emulator.state.filters["SOLUSDT"].tick_size
        with pytest.raises(SettingError, match="no filters are known of OTHERUSDT"):
            build(SimulationSetup(folders=(tmp_path,), symbols=("OTHERUSDT",)))
