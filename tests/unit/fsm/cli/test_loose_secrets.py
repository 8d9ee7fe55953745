"""`check` and `doctor` tell of a .env that others on this machine may read, and `run` takes it away from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from store.lock import ProcessLock


@pytest.mark.parametrize(("mode", "is_told"), [(0o644, True), (0o640, True), (0o602, True), (0o600, False)])
def test_check_warns_and_passes(fsm: Any, project: Path, mode: int, is_told: bool) -> None:
    (project / ".env").write_text("BINANCE_ENV=sim\n", "utf-8")
    (project / ".env").chmod(mode)
    ended = fsm("check")
    assert ended.code == 0
    assert ("chmod 600" in ended.stderr) is is_told
    told = [found["message"] for found in fsm("check", "--json").document["warnings"]]
    assert any("chmod 600" in message for message in told) is is_told


@pytest.mark.parametrize(("mode", "verdict"), [(0o644, "warn"), (0o600, "ok")])
def test_doctor_has_a_line_for_it(fsm: Any, project: Path, mode: int, verdict: str) -> None:
    (project / ".env").write_text("BINANCE_ENV=sim\n", "utf-8")
    (project / ".env").chmod(mode)
    checks = {found["check"]: found["verdict"] for found in fsm("doctor", "--json").document["checks"]}
    assert checks["secrets"] == verdict


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_run_takes_env_away_from_others_and_says_so(fsm_process: Any, project: Path) -> None:
    """Before anything else, so also where the start is refused."""
    env, token = project / ".env", project / "token"
    env.write_text("BINANCE_ENV=sim\nDASHBOARD_TOKEN_FILE=token\n", "utf-8")
    token.write_text("a-token-that-nobody-guesses", "utf-8")
    for path in (env, token):
        path.chmod(0o644)
    with ProcessLock(project / "var" / "sim.sqlite"):
        first, second = fsm_process("run", "--no-web"), fsm_process("run", "--no-web")
    assert (first.code, second.code) == (3, 3)
    assert mode_of(env) == 0o600
    assert "could read your keys in .env" in first.stderr
    assert "could read" not in second.stderr
    assert mode_of(token) == 0o644, "another service may need a file of its own"
    assert "chmod 600" in first.stderr
    assert "chmod 600" in second.stderr
