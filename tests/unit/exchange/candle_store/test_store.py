"""A store is whole at every moment, maps what it has, and knows when it was damaged."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from exchange.candle_columns import CandleFileError
from exchange.candle_faults import FaultKind, files_in, look_through
from exchange.candle_files import CandleFolders
from exchange.candle_store.manifest import MANIFEST, Rejected, is_store
from exchange.candle_store.reading import CandleStore
from exchange.candle_store.series import Series, candles_of, funding_of, series_named
from exchange.candle_store.writing import Contradiction, StoreWriter
from indicators.candle import Timeframe

HOUR = 3_600_000
T0 = 1_704_067_200_000
BTC = candles_of("BTCUSDT", Timeframe.H1)


def candles(first: int, last: int, *, price: float = 100.0) -> np.ndarray:
    return np.array([[T0 + n * HOUR, price, price + 2, price - 2, price + 1, n] for n in range(first, last)])


def stored(folder: Path, *parts: np.ndarray, series: Series = BTC, rejected: tuple[Rejected, ...] = ()) -> Path:
    with StoreWriter(folder) as writer:
        for rows in parts:
            writer.add(series, rows, rejected)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "series",
    [
        BTC,
        candles_of("1000PEPEUSDT", Timeframe.M1),
        candles_of("ETHUSDT", Timeframe.H1, mark=True),
        funding_of("XUSDT"),
    ],
)
def test_a_series_and_its_name(series: Series) -> None:
    assert series_named(series.name) == series
    assert series_named(f"{series.name}x") is None


def test_candles_are_mapped_and_cannot_be_changed(tmp_path: Path) -> None:
    stored(tmp_path, candles(0, 10))
    columns = CandleStore(tmp_path).candles("BTCUSDT", Timeframe.H1)
    assert columns is not None
    assert columns.open_time_ms.tolist() == [T0 + n * HOUR for n in range(10)]
    assert columns.close.flags.c_contiguous
    base = columns.close
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        columns.close[0] = 1


def test_anybody_can_open_a_file_with_numpy_alone(tmp_path: Path) -> None:
    """As docs/data.md says."""
    stored(tmp_path, candles(0, 10))
    (path,) = (tmp_path / "columns").glob("BTCUSDT-1h.*.npy")
    assert np.load(path, mmap_mode="r")["close"].tolist() == [101.0] * 10


def test_the_same_rows_make_the_same_bytes_in_whatever_steps_they_come(tmp_path: Path) -> None:
    once = files_of(stored(tmp_path / "once", candles(0, 100)))
    steps = [candles(0, 1), candles(1, 40), candles(39, 60), candles(90, 100), candles(60, 90)]
    assert files_of(stored(tmp_path / "steps", *steps)) == once
    assert files_of(stored(tmp_path / "backwards", *reversed(steps))) == once


def test_a_candle_that_is_another_one_is_refused_or_replaces(tmp_path: Path) -> None:
    stored(tmp_path, candles(0, 10))
    with StoreWriter(tmp_path) as writer:
        with pytest.raises(Contradiction, match="in row 6") as error:
            writer.add(BTC, candles(5, 12, price=200.0))
        assert error.value.open_ms == T0 + 5 * HOUR
        assert writer.add(BTC, candles(5, 12, price=200.0), replace=True) == 7
    found = CandleStore(tmp_path).candles("BTCUSDT", Timeframe.H1)
    assert found is not None
    assert found.open.tolist() == [100.0] * 5 + [200.0] * 7


def test_who_has_it_open_keeps_what_he_has_while_somebody_writes(tmp_path: Path) -> None:
    stored(tmp_path, candles(0, 10))
    before = CandleStore(tmp_path)
    mapped = before.candles("BTCUSDT", Timeframe.H1)
    stored(tmp_path, candles(10, 20))
    assert mapped is not None
    assert mapped.close.tolist() == [101.0] * 10
    again = before.candles("BTCUSDT", Timeframe.H1)
    assert again is not None
    assert again.length == 20


def test_only_one_writes(tmp_path: Path) -> None:
    with StoreWriter(tmp_path), pytest.raises(CandleFileError, match="another command writes to this store; wait"):
        StoreWriter(tmp_path).__enter__()
    stored(tmp_path, candles(0, 1))


def test_a_folder_of_candle_files_does_not_become_a_store(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT-1h.csv.gz").write_bytes(b"")
    with pytest.raises(CandleFileError, match="holds candle files; name another folder"):
        StoreWriter(tmp_path).__enter__()
    assert not is_store(tmp_path)


def test_whoever_dies_between_two_steps_leaves_one_of_the_two_stores(tmp_path: Path) -> None:
    """Every file system call that changes something is cut off once; the rest never happens."""
    before, after = files_of(stored(tmp_path / "a", candles(0, 10))), files_of(stored(tmp_path / "b", candles(0, 20)))
    seen, step = set(), 0
    while True:
        folder = tmp_path / f"step-{step}"
        shutil.copytree(tmp_path / "a", folder)
        child = os.fork()
        if child == 0:
            _die_at(step, folder)
        ended = os.waitpid(child, 0)[1]
        found = CandleStore(folder).candles("BTCUSDT", Timeframe.H1)
        assert found is not None
        seen.add(found.length)
        stored(folder, candles(0, 20))
        assert files_of(folder) == after
        if ended == 0:
            break
        step += 1
    assert step >= 6
    assert seen == {10, 20}
    assert before != after


def _die_at(step: int, folder: Path) -> None:
    """Add ten candles, and be gone at the n-th change of a file."""
    left = [step]

    def watched(event: str, arguments: tuple[object, ...]) -> None:
        is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if is_write or event in ("os.rename", "os.remove"):
            if not left[0]:
                os._exit(1)
            left[0] -= 1

    import sys

    sys.addaudithook(watched)
    stored(folder, candles(10, 20))
    os._exit(0)


class TestDamage:
    def test_a_bit_that_flipped_is_found_by_check(self, tmp_path: Path) -> None:
        stored(tmp_path, candles(0, 10))
        (path,) = (tmp_path / "columns").glob("*.npy")
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content)
        (found,) = look_through(files_in([tmp_path], ()))
        (fault,) = found.faults
        assert (fault.file, fault.line, fault.kind) == (path, 1, FaultKind.FILE)
        assert "its SHA-256 is not that of the manifest; `data remove BTCUSDT-1h`, then" in fault.message

    @pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None], ids=["empty", "cut", "gone"])
    def test_a_file_that_is_no_longer_whole_is_named_when_it_is_opened(
        self, tmp_path: Path, content: bytes | None
    ) -> None:
        stored(tmp_path, candles(0, 10))
        (path,) = (tmp_path / "columns").glob("*.npy")
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(CandleFileError, match="data remove BTCUSDT-1h") as error:
            CandleFolders([tmp_path]).candles("BTCUSDT")
        assert str(error.value).startswith(f"{path}:1: ")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (b'"rows": 10', b'"rows": 11', "its hash is not that of what it lists"),
            (b'"format": 1', b'"format": 7', "format 7 is not known here"),
            (b"{", b"", "is no manifest of a candle store"),
        ],
    )
    def test_a_manifest_that_was_edited(self, tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
        path = stored(tmp_path, candles(0, 10)) / MANIFEST
        path.write_bytes(path.read_bytes().replace(old, new, 1))
        with pytest.raises(CandleFileError, match=message) as error:
            CandleStore(tmp_path)
        assert str(error.value).startswith(f"{path}:1: ")


class TestHoles:
    def test_they_stay_holes_and_check_names_them_by_row(self, tmp_path: Path) -> None:
        stored(tmp_path, candles(0, 10), candles(13, 20))
        store = CandleStore(tmp_path)
        assert store.entries[BTC].missing == 3
        (found,) = look_through(files_in([tmp_path], ()))
        (gap,) = found.faults
        assert (gap.file, gap.row, gap.kind, gap.open_ms) == (store.path(BTC), 11, FaultKind.GAP, T0 + 10 * HOUR)

    def test_a_row_that_was_left_out_is_named_where_it_came_from_until_there_is_one(self, tmp_path: Path) -> None:
        row = Rejected(open_time_ms=T0 + 10 * HOUR, kind="contradiction", file="x.csv", line=12, message="the low is 0")
        stored(tmp_path, candles(0, 10), candles(11, 20), rejected=(row,))
        (found,) = look_through(files_in([tmp_path], ()))
        left_out = next(fault for fault in found.faults if fault.kind is FaultKind.CONTRADICTION)
        assert (str(left_out.file), left_out.line) == ("x.csv", 12)
        stored(tmp_path, candles(10, 11))
        assert CandleStore(tmp_path).entries[BTC].rejected == ()


def test_symbols_of_which_a_store_has_nothing_come_from_elsewhere(tmp_path: Path) -> None:
    ours = stored(tmp_path / "ours", candles(0, 10))
    theirs = stored(tmp_path / "theirs", candles(0, 20), series=candles_of("ETHUSDT", Timeframe.H1))
    stored(theirs, candles(0, 20))
    folders = CandleFolders([ours], [theirs])
    assert folders.symbols() == ("BTCUSDT", "ETHUSDT")
    assert folders.candles("BTCUSDT").length == 10
    assert folders.parts("ETHUSDT", Timeframe.H1).length == 20
