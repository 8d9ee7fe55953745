"""A small file that unpacks to very much is refused before it takes memory; everything else comes line by line."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.unpacking import UnpackingError, blocks_of_lines
from tests.effort import sampled

ROOT = Path(__file__).parents[3]
HEADER = b"open_time_ms,open,high,low,close,volume\n"
ROW = b"1704067200000,42000,42300.5,41900,42100.5,1\n"
BOMB_BYTES = 400_000_000
MEMORY_KB_MAX = 100_000

MEASURED = """
import resource, sys
from fsm.cli.app import app
try:
    app.main(sys.argv[1:])
finally:
    everybody = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)  # parity's simulator is a child
    print(max(resource.getrusage(who).ru_maxrss for who in everybody), file=sys.stderr)
"""


def bomb(path: Path, block: bytes, size: int = BOMB_BYTES) -> Path:
    """A gzip file that unpacks to a header and so many bytes of repetition."""
    path.parent.mkdir(parents=True, exist_ok=True)
    block = block * (1_000_000 // len(block))
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(HEADER)
        for _ in range(size // len(block)):
            file.write(block)
    return path


def lines_of(path: Path) -> list[str]:
    return [line for block in blocks_of_lines(path) for line in block]


@pytest.mark.parametrize("text", [b"a\nb\n", b"a\nb", b"\n\na", b"", b"one line", b"x" * 999 + b"\n" + b"y" * 999])
def test_lines_come_as_they_are(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(text))
    assert lines_of(path) == text.decode().removesuffix("\n").split("\n")[: None if text else 0]


def test_lines_and_their_numbers_go_on_over_blocks_and_over_several_gzip_members(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    text = "".join(f"{n},{n * 7919 % 104729}\n" for n in range(300_000))
    path.write_bytes(gzip.compress(text[:1_234_567].encode()) + gzip.compress(text[1_234_567:].encode()))
    assert lines_of(path) == text.splitlines()
    path.write_bytes(gzip.compress(text[:2_000_000].encode() + b"\xff\n"))
    with pytest.raises(UnpackingError) as error:
        lines_of(path)
    assert error.value.line == text[:2_000_000].count("\n") + 1


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"x" * 5_000))
    with pytest.raises(UnpackingError, match="longer than 1000 bytes") as error:
        lines_of(path)
    assert error.value.line == 2


@pytest.mark.parametrize("block", [ROW, b"\0", b"\n"], ids=["rows", "zeros", "empty lines"])
def test_what_unpacks_to_a_hundred_times_its_size_is_refused(tmp_path: Path, block: bytes) -> None:
    path = bomb(tmp_path / "a.gz", block, 20_000_000)
    with pytest.raises(UnpackingError, match="unpack to more than"):
        lines_of(path)


def test_a_file_that_is_cut_off_or_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    whole = gzip.compress(HEADER + ROW * 50)
    for text in (whole[:-3], whole[:-8] + bytes(8), b"\0\0\0", whole[:20] + b"\xff\xff" + whole[22:]):
        path.write_bytes(text)
        with pytest.raises(UnpackingError, match="cannot be read as gzip'ed ASCII text"):
            lines_of(path)
    path.write_bytes(HEADER + ROW)
    with pytest.raises(UnpackingError, match="is not gzip'ed, whatever its name says"):
        lines_of(path)


COMMANDS = {
    "backtest": ("backtest", "--symbols", "BTCUSDT"),
    "parity": ("parity", "--symbols", "BTCUSDT", "--from", "2024-10-01", "--to", "2024-10-02"),
    "torture": ("torture", "--seeds", "1..1", "--days", "2", "--symbols", "1"),
    "data check": ("data", "check"),
}


@pytest.mark.parametrize("command", sampled(COMMANDS.values(), often=1, single=True), ids=COMMANDS)
def test_389_kb_that_unpack_to_400_mb_are_refused_before_100_mb_of_memory(tmp_path: Path, command) -> None:
    path = bomb(tmp_path / "BTCUSDT-1h.csv.gz", ROW)
    assert path.stat().st_size < 2_000_000
    arguments = [*command, "--json", "--data", str(tmp_path)]
    ended = subprocess.run(  # a shell between: a process is told the most that its parent had when it was made
        ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", MEASURED, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    used_kb = int(ended.stderr.split()[-1])
    assert json.loads(ended.stdout)
    assert "unpack to more than" in ended.stdout + ended.stderr
    assert ended.returncode == (4 if command[0] == "data" else 2)
    assert used_kb < MEMORY_KB_MAX, f"{used_kb} kB of memory"
