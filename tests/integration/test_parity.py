"""Live = backtest over HTTP: a daemon on a simulator process, with its stream or polling, does as the backtest."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.config import load_config
from fsm.proofs.parity.run import Report, Request, run_parity
from rules.load import load_rules, parse_rules
from store.database import open_store
from store.queries import TransitionFilter, each_transition
from store.verify import verify
from tests.effort import sampled
from tests.integration.test_moment_words import TEXT

ROOT = Path(__file__).parents[2]
SYMBOLS = ("ETHUSDT", "SOLUSDT")
"""One whose recorded prices are finer than its tick, and one that trades often in these weeks."""


def moment(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def run(folder: Path, symbols: tuple[str, ...], span: tuple[str, str], *, stream: bool, history: int = 250) -> Report:
    config = load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"})
    market_data = msgspec.structs.replace(config.settings.market_data, history_candles=history)
    settings = msgspec.structs.replace(config.settings, market_data=market_data)
    request = Request(
        config=dataclasses.replace(config, settings=settings),
        rules=load_rules(ROOT / "rules.yaml"),
        data=(shipped_folder(),),
        symbols=symbols,
        from_ms=moment(span[0]),
        to_ms=moment(span[1]),
        folder=folder,
        stream=stream,
    )
    return run_parity(request, progress=lambda phase, done, total: None)


@pytest.mark.parametrize("stream", sampled([True, False], often=1), ids=["told by the stream", "polling alone"])
def test_a_week_of_two_symbols_has_the_same_transitions_as_the_backtest(tmp_path: Path, stream: bool) -> None:
    report = run(tmp_path, SYMBOLS, ("2024-10-01", "2024-10-08"), stream=stream)
    assert report.differences == []
    assert report.compared >= 20
    assert report.trades >= 3
    assert verify(tmp_path / "daemon.sqlite").fine


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False], ids=["told by the stream", "polling alone"])
def test_a_year_of_five_symbols(tmp_path: Path, stream: bool) -> None:
    symbols = ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
    report = run(tmp_path, symbols, ("2024-07-01", "2025-06-30"), stream=stream, history=1_500)
    assert report.differences == []
    assert report.compared > 500


TRAILING = TEXT.replace("      exit_when:", "      trail: close_1h - 2 * atr_1h\n      exit_when:")
LATE = """\
rules:
  - {match: {method: POST, path: /fapi/v1/algoOrder}, when: after, effect: {latency_ms: 900}}
  - {match: {path: /fapi/v1/premiumIndex, symbol: SOLUSDT, nth: 2}, when: after, effect: {latency_ms: 2700}}
  - {match: {path: /fapi/v1/fundingRate, nth: 3}, when: after, effect: {latency_ms: 5300}}
"""


@pytest.mark.slow
def test_answers_that_are_late_change_nothing(tmp_path: Path) -> None:
    """A loaded machine answers late. What a bot does then is right on an exchange, and no difference of rules."""
    faults = tmp_path / "faults.yaml"
    faults.write_text(LATE)
    config = load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"})
    request = Request(
        config=config,
        rules=parse_rules(TRAILING, "rules.yaml"),
        data=(shipped_folder(),),
        symbols=("SOLUSDT",),
        from_ms=moment("2024-06-02T04:00"),
        to_ms=moment("2024-06-02T14:00"),
        folder=tmp_path / "both",
        simulator=("--faults", str(faults)),
    )
    report = run_parity(request, progress=lambda phase, done, total: None)
    assert report.differences == []
    assert report.trades >= 1
    with open_store(tmp_path / "both" / "daemon.sqlite", mode="read") as store:
        assert any(row.reason == "STOP_MOVED" for row in each_transition(store, TransitionFilter()))
