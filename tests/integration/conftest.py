"""What the daemon's tests share: in-process bots on the small market, with the shipped settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from fsm.config import load_config
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import in_process_bot_of


@pytest.fixture(autouse=True)
def _quiet_logs() -> None:
    """A in-process bot logs a quarter of a year in a second; what matters is in its database."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))


@pytest.fixture
def rehearse(tmp_path: Path) -> Callable[..., InProcessBot]:
    """rehearse(BTCUSDT=[hours…], latency_s=…, risk={…}): names in capitals are symbols, other ones config sections."""

    def make(*, latency_s: float = 0.0, db: Path | None = None, **given: Any) -> InProcessBot:
        config = load_config(Path(__file__).parents[2] / "config.yaml", None, {"BINANCE_ENV": "sim"})
        markets = {name: hours for name, hours in given.items() if name.isupper()}
        sections = {name: changed for name, changed in given.items() if not name.isupper()}
        path = db or tmp_path / "sim.sqlite"
        return in_process_bot_of(config, path, markets, latency_s=latency_s, sections=sections)

    return make
