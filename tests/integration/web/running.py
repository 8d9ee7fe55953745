"""The bot as its users start it, ``python -m fsm run`` on the embedded exchange, for tests that watch it trade."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.web.chromium import ROOT, TOKEN

SPEED = 200
"""An hour passes in 18 s: the embedded exchange begins two hours before the first trade worth seeing."""
END_S = 60.0


@dataclass(frozen=True, slots=True)
class RunningBot:
    url: str
    db: Path
    errors: Path

    def said(self) -> str:
        """Everything in its log so far."""
        return self.errors.read_text("utf-8")


@contextmanager
def running_bot(folder: Path) -> Iterator[RunningBot]:
    """A bot that begins anew in this folder; it must end in order."""
    settings = (ROOT / "config.yaml").read_text("utf-8")
    config = folder / "config.yaml"
    config.write_text(re.sub(r"(?m)^  speed: 600\b", f"  speed: {SPEED}", settings), "utf-8")
    assert config.read_text("utf-8") != settings
    (folder / ".env").write_text(f"BINANCE_ENV=sim\nDASHBOARD_TOKEN={TOKEN}\n", "utf-8")
    places = ["--config", str(config), "--env-file", str(folder / ".env"), "--db", str(folder / "sim.sqlite")]
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fsm", "run", "--log", "text", *places, "--port", "0"],
            cwd=ROOT,
            env=kept,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        found = next(filter(None, (re.search(r"dashboard is at (http://\S+)", line) for line in process.stdout)), None)
        assert found is not None, (folder / "log").read_text("utf-8")
        yield RunningBot(url=found.group(1), db=folder / "sim.sqlite", errors=folder / "log")
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=END_S)
        (folder / "rest").write_text(rest, "utf-8")
    assert process.returncode == 0
    assert TOKEN not in rest + (folder / "log").read_text("utf-8")
