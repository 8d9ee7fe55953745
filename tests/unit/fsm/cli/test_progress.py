"""Progress on stderr: bars where a person watches, nothing but log lines where nobody does."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
COMMAND = [
    sys.executable,
    "-m",
    "fsm",
    "backtest",
    "--symbols",
    "BTCUSDT",
    "--from",
    "2024-09-01",
    "--to",
    "2024-09-10",
]


def test_on_a_terminal_there_is_a_bar_for_each_phase(project) -> None:
    terminal, slave = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    finally:
        os.close(terminal)
    assert process.stdout is not None
    stdout = process.stdout.read().decode()
    process.stdout.close()
    assert process.wait() == 0
    for phase in ("load", "features", "run"):
        assert phase in shown.decode()
    assert "━" in shown.decode()
    assert "━" not in stdout


def test_tables_fit_what_they_hold_when_nobody_watches(fsm_process, journal) -> None:
    lines = fsm_process("audit", "--db", journal).stdout.splitlines()
    assert all(line.count("BTCUSDT") >= 1 for line in lines[1:])
    assert not any("\x1b" in line for line in lines)
