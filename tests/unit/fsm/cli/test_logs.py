"""The logs: one JSON object a line, each with an event, a reason, a level, a time and the environment."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from fsm.cli.logs import configure_logs, pass_on_logs

ROOT = Path(__file__).parents[4]
LEVELS = ("debug", "info", "warning", "error", "critical", "exception")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers, level = before
    root.setLevel(level)
    structlog.reset_defaults()


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_each_line_has_event_reason_level_time_and_environment(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(json=True, environment="sim")
    structlog.get_logger("fsm.test").info("stop_confirmed", reason="READ_BACK", symbol="BTCUSDT")
    (line,) = logged(capsys)
    timestamp = line.pop("timestamp")
    assert timestamp.endswith("Z")
    assert line == {
        "event": "stop_confirmed",
        "reason": "READ_BACK",
        "symbol": "BTCUSDT",
        "level": "info",
        "environment": "sim",
    }


def test_what_libraries_say_is_an_event_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(json=True, environment="MAINNET")
    logging.getLogger("exchange.binance.http").warning("clock was off; offset is now %d ms", 7)
    (line,) = logged(capsys)
    assert (line["event"], line["reason"], line["environment"]) == ("exchange.binance.http", "TOLD", "MAINNET")
    assert line["text"] == "clock was off; offset is now 7 ms"


def test_a_command_that_logs_nothing_itself_leaves_the_next_one_its_environment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pass_on_logs(json=True)
    configure_logs(json=True, environment="MAINNET")
    logging.getLogger("exchange.binance.http").warning("clock was off")
    (line,) = logged(capsys)
    assert (line["text"], line["environment"]) == ("clock was off", "MAINNET")


def test_what_a_library_says_first_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    pass_on_logs(json=True)
    for text in ("first", "second"):
        logging.getLogger("exchange.binance.http").warning(text)
    assert [line["text"] for line in logged(capsys)] == ["first", "second"]


def test_a_failure_carries_its_traceback_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(json=True, environment="sim")
    try:
        raise ValueError("boom")
    except ValueError as error:
        structlog.get_logger().error("handler_failed", reason="ValueError", exc_info=error)
    (line,) = logged(capsys)
    assert "ValueError: boom" in line["exception"]


def test_a_terminal_shows_warnings_alone_and_marks_real_money(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    configure_logs(json=False, environment="MAINNET")
    structlog.get_logger().info("transition", reason="SETUP_READY")
    structlog.get_logger().warning("exchange_failed", reason="Unreachable")
    (line,) = capsys.readouterr().err.splitlines()
    assert "MAINNET exchange_failed" in line


def test_every_line_that_the_product_logs_names_its_event_and_its_reason() -> None:
    missing = []
    for path in sorted((ROOT / "fsm").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if ast.unparse(node.func.value) != "log" or node.func.attr not in LEVELS:
                continue
            event = node.args[0] if node.args else None
            named = isinstance(event, ast.Constant) and str(event.value).replace("_", "").isalpha()
            if not named or "reason" not in {keyword.arg for keyword in node.keywords}:
                missing.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert missing == []
