"""Logs of libraries: one JSON object a line, whoever speaks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
SCRIPT = """
import logging, sys
from fsm.cli.logs import configure_logs
import structlog
configure_logs(json=True); configure_logs(json=True)
structlog.get_logger().info("started", reason="TEST")
log = logging.getLogger("exchange.binance.http")
log.warning("clock was off (%s); offset is now %d ms", "x", 7)
log.info("not worth a line")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
log.warning("%d", "no number")
"""


def test_what_is_said_with_pythons_own_logging_comes_as_a_json_line_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines] == ["started", "exchange.binance.http", "exchange.binance.http"]
    assert (lines[1]["level"], lines[1]["text"]) == ("warning", "clock was off (x); offset is now 7 ms")
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert "--- Logging error ---" in done.stderr, "a message that cannot be made is told and ends nothing"
