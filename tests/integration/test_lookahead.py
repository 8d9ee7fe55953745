"""`lookahead` as a process: exit 0 where nothing peeks, exit 4 and the place where something does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = ["lookahead", "--symbols", "BTCUSDT", "--cuts", "4", "--runs", "1", "--from", "2024-10-01", "--json"]

PLANTED = """
import numpy as np
from indicators.catalog import ResolvedIndicator
honest = ResolvedIndicator.batch
ResolvedIndicator.batch = lambda self, source: (
    np.roll(honest(self, source), -1) if self.name == "adx" else honest(self, source)
)
"""


def ran(before: str) -> tuple[int, dict[str, Any]]:
    code = f"{before}\nimport sys\nfrom fsm.cli.app import app\napp({COMMAND!r})"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    return ended.returncode, json.loads(ended.stdout)


@pytest.mark.slow
def test_shipped_rules_do_not_look_ahead() -> None:
    code, found = ran("")
    assert (code, found["peeks"]) == (0, [])
    assert found["candles"] > 10_000
    assert (found["cuts"], found["runs"]) == (4, 1)


def test_a_planted_peek_is_named_and_ends_with_4() -> None:
    code, found = ran(PLANTED)
    assert code == 4
    assert {"symbol": "BTCUSDT", "what": "adx_4h", "look": "one by one"}.items() <= found["peeks"][0].items()
