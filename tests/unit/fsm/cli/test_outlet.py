"""The door to the terminal: it never waits, never raises, counts what nobody took, and says so afterwards (R71)."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from fsm.cli.outlet import LINE_BYTES_MAX, LINES_WAITING_MAX, Outlet, in_json, in_words

ROOT = Path(__file__).parents[4]
PIPE_BYTES = 4_096
PATIENCE_S = 30.0
LINE = "x" * 99 + "\n"


class Door:
    """An outlet into a pipe, and the pipe's other end."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with open(writer, "w") as stream:
            self.outlet = Outlet(stream, "test", in_words)
        self.text: TextIO = io.TextIOWrapper(self.outlet, encoding="utf-8", line_buffering=True)  # type: ignore[type-var]

    def read(self, until: str) -> str:
        found = ""
        while until not in found:
            found += os.read(self.reader, PIPE_BYTES).decode()
        return found

    def went_wrong(self) -> None:
        """Wait until a write has failed."""
        until_s = time.monotonic() + PATIENCE_S
        while not self.outlet.errors and time.monotonic() < until_s:
            self.text.write(LINE)
            os.sched_yield()
        assert self.outlet.errors


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    os.close(made.reader) if made.reader >= 0 else None
    made.outlet.end(PATIENCE_S)


def test_lines_come_out_whole_and_in_their_order(door: Door) -> None:
    for number in range(50):
        print(f"line {number}", file=door.text)
    assert door.read("line 49\n").splitlines() == [f"line {number}" for number in range(50)]
    assert (door.outlet.dropped, door.outlet.errors) == (0, 0)


def test_a_pipe_that_nobody_empties_delays_nobody_and_what_was_dropped_is_said_once_it_flows(door: Door) -> None:
    for _ in range(LINES_WAITING_MAX + 2_000):
        door.text.write(LINE)
    dropped = door.outlet.dropped
    assert 1_000 < dropped <= 2_000
    assert f"\n{dropped} lines were dropped while the terminal did not take them\n" in door.read("take them\n")


def test_a_reader_that_has_gone_is_survived_and_counted(door: Door) -> None:
    os.close(door.reader)
    door.reader = -1
    door.went_wrong()
    print("still alive", file=door.text, flush=True)
    assert door.outlet.dropped > 0


def test_a_full_disk_is_survived_and_counted() -> None:
    with open("/dev/full", "w") as full:
        outlet = Outlet(full, "test", in_words)
    outlet.write(b"lost\n")
    outlet.end(PATIENCE_S)
    assert (outlet.dropped, outlet.errors) == (1, 1)


def test_a_line_without_end_is_not_kept(door: Door) -> None:
    door.text.write("y" * LINE_BYTES_MAX + "\n")
    assert door.outlet.dropped == 1


def test_the_end_waits_no_longer_than_it_is_told(door: Door) -> None:
    for _ in range(200):
        door.text.write(LINE)
    began_s = time.monotonic()
    door.outlet.end(0.2)
    assert time.monotonic() - began_s < PATIENCE_S
    assert door.read(LINE).startswith("x")


def test_a_log_of_json_says_it_in_json() -> None:
    assert json.loads(in_json(7)) == {"event": "lines_dropped", "reason": "OUTPUT", "level": "warning", "lines": 7}
    assert in_words(1) == "1 line was dropped while the terminal did not take them"


WRITERS = """
import logging, os, sys, threading, warnings
import structlog
from fsm.cli.logs import configure_logs
from fsm.cli.outlet import close_outlets, open_outlets
open_outlets(json=True)
configure_logs(json=True)
sys.stdin.readline()  # now the readers are gone

class Unspeakable:
    def __repr__(self):
        raise RuntimeError("no words")

print("a library prints", flush=True)
sys.stdout.buffer.write(b"and writes bytes" + bytes([10]))
warnings.warn("a library warns")
logging.getLogger("uvicorn").error("a library logs")
logging.getLogger("x").warning("%d", "no number")  # logging itself complains on stderr
structlog.get_logger().info("ours", reason="TEST", odd=Unspeakable())
threading.Thread(target=lambda: 1 / 0).start()
threading.excepthook(threading.ExceptHookArgs((ValueError, ValueError("in a thread"), None, None)))
class Ends:
    def __del__(self):
        raise ValueError("in a finaliser")
del_me = Ends(); del del_me
import click, rich
click.echo("click")
rich.print("[b]rich[/b]")
close_outlets()
open("counted", "w").write("through")
sys.exit(7)
"""


@pytest.mark.parametrize("spoilt", ["closed", "full"])
def test_every_writer_there_is_goes_through_it_and_the_exit_code_stays(tmp_path: Path, spoilt: str) -> None:
    readers, writers = zip(os.pipe(), os.pipe(), strict=True)
    for writer in writers:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    process = subprocess.Popen(
        [sys.executable, "-W", "always", "-c", WRITERS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=writers[0],
        stderr=writers[1],
    )
    try:
        for reader, writer in zip(readers, writers, strict=True):
            if spoilt == "closed":
                os.close(reader)
            else:
                fill(writer)
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 7
        assert (tmp_path / "counted").read_text() == "through"
    finally:
        process.kill()
        process.wait()
        for fd in (*writers, *(readers if spoilt == "full" else ())):
            os.close(fd)


def fill(writer: int) -> None:
    os.set_blocking(writer, False)
    try:
        while os.write(writer, b"." * PIPE_BYTES):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)


def test_warnings_and_logs_are_where_python_puts_them() -> None:
    """What the test above relies on: both look for sys.stderr when they speak, not when they are loaded."""
    before, sys.stderr = sys.stderr, io.StringIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning("told", UserWarning, "file.py", 1)
        assert logging.lastResort is not None
        logging.lastResort.handle(logging.LogRecord("x", logging.ERROR, "file.py", 1, "told too", None, None))
        assert "told" in sys.stderr.getvalue()
        assert "told too" in sys.stderr.getvalue()
    finally:
        sys.stderr = before
