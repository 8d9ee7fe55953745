"""A secret planted in the environment appears nowhere in what a full debug run prints, failures included."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.sim.server.launch import Launched
from tests.contract.conftest import candles, simulator  # noqa: F401 - fixtures

REPOSITORY = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("full_debug_run.py")
LISTEN_KEY = re.compile(rb"listenKey=(?!\*\*\*)[^&\s'\"]|listenKey['\"]\s*:\s*['\"](?!\*\*\*)")
SIGNATURE = re.compile(rb"signature=(?!\*\*\*)[0-9a-f]")


def _forms(secret: str) -> list[bytes]:
    """The secret as it is, encoded, backwards, hashed, and each half of it."""
    raw = secret.encode()
    half = len(raw) // 2
    return [
        raw,
        raw[:half],
        raw[half:],
        raw[::-1],
        base64.b64encode(raw),
        raw.hex().encode(),
        hashlib.sha256(raw).hexdigest().encode(),
    ]


def _run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_nothing_a_full_debug_run_prints_holds_key_secret_signature_or_listen_key(
    simulator: Launched,  # noqa: F811 - the fixture of that name
) -> None:
    planted = {"BINANCE_API_KEY": simulator.api_key, "BINANCE_API_SECRET": simulator.api_secret}
    done = _run([str(SCRIPT), simulator.rest, simulator.ws], {**planted, "PYTHONDEVMODE": "1"})
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert b"Traceback" in said
    for evidence in (b"DEBUG:httpcore", b"INFO:httpx", b"Unknown(reason=", b"RateLimited(", b"-1022", b"signature=***"):
        assert evidence in said, evidence
    assert len(said) > 50_000
    for secret in planted.values():
        for form in _forms(secret):
            assert form not in said, f"{form[:6]!r}… is in the output"
    assert SIGNATURE.search(said) is None
    assert LISTEN_KEY.search(said) is None


@pytest.mark.parametrize("command", [["config", "show"], ["config", "show", "--json"], ["check"], ["status"]])
def test_no_command_shows_a_secret(command: list[str], tmp_path: Path) -> None:
    names = ("BINANCE_API_KEY", "BINANCE_API_SECRET", "DASHBOARD_TOKEN", "TG_BOT_TOKEN", "TG_CHAT_ID")
    planted = {name: f"planted{number}secret{number}Value" for number, name in enumerate(names)}
    done = _run(["-m", "fsm", *command, "--db", str(tmp_path / "none.sqlite")], {**planted, "BINANCE_ENV": "testnet"})
    said = done.stdout + done.stderr
    assert said
    for secret in planted.values():
        assert secret.encode() not in said
