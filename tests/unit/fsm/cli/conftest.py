"""A working directory with the shipped files, and the two ways to call the command line: here and as a process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fsm.cli.app import app
from tests.recorded import recorded

ROOT = Path(__file__).parents[4]
FROM_MS, TO_MS = 1_722_470_400_000, 1_727_740_800_000  # 2024-08-01 to 2024-10-01
OUR_KEYS = ("BINANCE_", "DASHBOARD_", "TG_", "SIM_")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)


Call = Callable[..., Ended]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the shipped config.yaml and rules.yaml, and none of our keys in the environment."""
    for name in ("config.yaml", "rules.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for key in list(os.environ):
        if key.startswith(OUR_KEYS):
            monkeypatch.delenv(key)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fsm(project: Path) -> Call:
    """Call the command line in this process."""

    def call(*args: str | Path, env: Mapping[str, str] | None = None) -> Ended:
        result = CliRunner().invoke(app, [str(arg) for arg in args], env=env)
        return Ended(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def fsm_process(project: Path) -> Call:
    """Call it as a user does: a process of its own, with pipes for stdout and stderr."""

    def call(*args: str | Path, env: Mapping[str, str] | None = None) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "fsm", *map(str, args)],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return call


@pytest.fixture(scope="session")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a backtest over two months of the shipped BTCUSDT candles. For reading only."""
    return recorded(tmp_path_factory.mktemp("journal") / "backtest.sqlite", from_ms=FROM_MS, to_ms=TO_MS)


@pytest.fixture
def journal_copy(journal: Path, tmp_path: Path) -> Path:
    """The same database, to be changed."""
    return Path(shutil.copy(journal, tmp_path / "copy.sqlite"))
