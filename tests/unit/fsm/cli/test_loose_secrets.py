"""`check` and `doctor` tell of a .env that others on this machine may read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


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
