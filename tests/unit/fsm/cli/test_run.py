"""`run`: the daemon as a process of its own, with its embedded exchange; it ends in order and goes on where it was."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import queries
from store.database import open_store
from store.verify import verify

ROOT = Path(__file__).parents[4]
PATIENCE_S = 90.0


@pytest.fixture
def fast(project: Path) -> Path:
    """Two symbols, faster than shipped, and slow enough for a busy machine to be there when the first trade comes."""
    settings = "version: 1\nsymbols: {BTCUSDT: {}, XRPUSDT: {}}\nsimulation: {speed: 1000}\nweb: {port: 0}\n"
    (project / "config.yaml").write_text(settings, "utf-8")
    return project


def hear_ctrl_c() -> None:
    """As at a terminal: whatever is begun in the background of a shell ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def running(project: Path, *options: str, is_text: bool = True) -> Iterator[subprocess.Popen[str]]:
    with (project / "log.jsonl").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fsm", "run", *(("--log", "text") if is_text else ()), *options],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            preexec_fn=hear_ctrl_c,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def until(process: subprocess.Popen[str], pattern: str) -> list[str]:
    """The lines up to the first that matches; fails when the process ends before."""
    assert process.stdout is not None
    found = []
    for line in process.stdout:
        found.append(line.rstrip("\n"))
        if re.search(pattern, line):
            return found
    raise AssertionError(f"{pattern!r} never came: {found[-5:]}")


def ended(process: subprocess.Popen[str], number: signal.Signals) -> str:
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    return stdout


@pytest.mark.slow
def test_a_trade_opens_and_is_covered_and_the_run_ends_when_it_is_told_to(fast: Path) -> None:
    with running(fast) as process:
        started = "\n".join(until(process, "dashboard is at"))
        assert "Trading on sim (http://127.0.0.1:" in started
        until(process, r"XRPUSDT .* stop .* confirmed, .* at risk")
        told = ended(process, signal.SIGTERM)
    assert "\nStopped\n" in told
    for command in re.findall(r"(?m)^  (\S*python\S* -m fsm .+?) +# ", told):
        pasted = subprocess.run(
            command,
            shell=True,
            cwd=fast,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert pasted.returncode == 0, (command, pasted.stdout, pasted.stderr)


def test_in_a_pipe_it_writes_one_json_object_a_line_and_nothing_else(fast: Path) -> None:
    with running(fast, is_text=False) as process:
        lines = until(process, '"event":"protected"')
        lines += ended(process, signal.SIGTERM).splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert {"started", "dashboard", "close", "transition", "message", "protected"} <= set(events)
    assert events[-1] == "stopped"
    assert json.loads(lines[-1])["open"][0]["symbol"] == "XRPUSDT"


def test_a_killed_run_goes_on_with_its_account_its_clock_and_its_journal(fast: Path) -> None:
    """R8: kill -9, on both the bot and its exchange, and start again."""
    path = fast / "var" / "sim.sqlite"
    with running(fast, "--no-web") as process:
        until(process, "confirmed, ")
        process.kill()
        process.wait()
    with open_store(path, mode="read") as store:
        before = queries.system_events(store, limit=1)[0].at_ms
    with running(fast, "--no-web") as process:
        until(process, "Ctrl-C ends the bot")
        assert "\nStopped\n" in ended(process, signal.SIGINT)
    assert verify(path).fine
    with open_store(path, mode="read") as store:
        events = queries.system_events(store, limit=100)
    assert [row.kind for row in events].count("START") == 2
    assert max(row.at_ms for row in events) >= before - 60_000


@pytest.mark.slow
def test_another_bot_on_the_same_database_is_refused(fast: Path, fsm_process) -> None:
    """R23."""
    with running(fast, "--no-web") as process:
        until(process, "Ctrl-C ends the bot")
        refused = fsm_process("run", "--no-web")
    assert refused.code == 3
    assert "another bot writes this database" in refused.stderr


@pytest.mark.parametrize(
    ("spoilt", "code", "told"),
    [
        ("config.yaml", 2, ["problems"]),
        ("database", 4, ["error", "code"]),
    ],
)
def test_a_start_that_fails_is_one_json_line_for_who_reads_lines(
    fsm, fast: Path, spoilt: str, code: int, told: list[str]
) -> None:
    if spoilt == "config.yaml":
        (fast / "config.yaml").write_text("version: 1\nsymbols: {BTCUSDT: {leverage: many}}\n", "utf-8")
    else:
        (fast / "var").mkdir(exist_ok=True)
        (fast / "var" / "sim.sqlite").write_text("this is no database at all, but long enough to be one" * 50)
    ended = fsm("run", "--no-web")
    assert ended.code == code, ended.stderr
    (line,) = ended.stdout.splitlines()
    found = json.loads(line)
    assert found.pop("event") == "failed"
    for name in told:
        found = found[name]
    assert found
    assert ended.stderr, "and a person reads why"
    assert fsm("run", "--no-web", "--log", "text").stdout.count("failed") == 0


def test_ctrl_c_before_the_bot_has_begun_is_an_end_and_no_failure(project: Path) -> None:
    """Else `make run` would complain of it: a moment in the shipped candles is looked for when it runs for the first
    time, which takes a while."""
    with running(project, "--no-web") as process:
        until(process, "for the first time")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read() if process.stdout is not None else ""
        assert process.wait(PATIENCE_S) == 0
    assert "Stopped" in rest


def test_a_file_that_is_no_database_of_ours_is_not_touched(fsm, fast: Path) -> None:
    (fast / "foreign.sqlite").write_text("these are notes of somebody else, not a database\n" * 100)
    refused = fsm("run", "--db", "foreign.sqlite", "--no-web")
    assert refused.code != 0
    assert (fast / "foreign.sqlite").read_text().startswith("these are notes")


def test_an_exchange_that_cannot_be_reached_is_said_to_be_that_and_no_fault_of_the_program(project: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = {"SIM_REST_URL": f"http://127.0.0.1:{port}", "SIM_WS_URL": f"ws://127.0.0.1:{port}"}
    ended = subprocess.run(
        [sys.executable, "-m", "fsm", "run", "--no-web"],
        cwd=project,
        env={
            **os.environ,
            **where,
            "BINANCE_API_KEY": "k" * 64,
            "BINANCE_API_SECRET": "s" * 64,
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 3
    assert "the exchange cannot be reached" in ended.stderr
    assert "hint: look at the network" in ended.stderr
    assert "fault of the program" not in ended.stderr
