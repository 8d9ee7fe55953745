"""`parity`: two databases side by side, each difference readable, and what the command refuses."""

from __future__ import annotations

import dataclasses
import re
from decimal import Decimal
from pathlib import Path

import msgspec

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from rules.load import load_rules

ROOT = Path(__file__).parents[5]
FROM_MS, TO_MS = 1_722_470_400_000, 1_727_740_800_000  # those of the journal
DAY_MS = 86_400_000


def test_a_database_is_like_itself(fsm, journal) -> None:
    ended = fsm("parity", "--left", journal, "--right", journal, "--json")
    assert ended.code == 0, ended.stderr
    assert ended.document["compared"] > 10
    assert (ended.document["differences"], ended.document["trades"], ended.document["unexplained"]) == ([], [], 0)


def test_what_differs_is_shown_in_words_and_is_exit_4(fsm, journal, tmp_path) -> None:
    other = tmp_path / "other.sqlite"
    run_backtest(
        Request(
            config=load_config(ROOT / "config.yaml", None, {}),
            rules=load_rules(ROOT / "rules.yaml"),
            data=(shipped_folder(),),
            symbols=("BTCUSDT",),
            from_ms=FROM_MS,
            to_ms=TO_MS - 15 * DAY_MS,
            db=other,
        )
    )
    ended = fsm("parity", "--left", journal, "--right", other)
    assert ended.code == 4
    assert re.match(r"compared: \d+, different: [1-9]", ended.stdout)
    shown = r"BTCUSDT, transition \d+\n.*backtest\.sqlite.*\+\w+ .*candle 2024-.*\n.*other\.sqlite +nothing any more"
    assert re.search(shown, ended.stdout)
    assert re.search(r"Why: \d+ trades?, \d+ unexplained\n", ended.stdout)


def test_the_same_steps_at_other_prices_are_fills(fsm, journal, tmp_path) -> None:
    """One of them was run with twice the slippage: every trade is there, at other prices and in other sizes."""
    other, config = tmp_path / "other.sqlite", load_config(ROOT / "config.yaml", None, {})
    simulation = msgspec.structs.replace(config.settings.simulation, slippage_pct=Decimal("0.04"))
    settings = msgspec.structs.replace(config.settings, simulation=simulation)
    run_backtest(
        Request(
            config=dataclasses.replace(config, settings=settings),
            rules=load_rules(ROOT / "rules.yaml"),
            data=(shipped_folder(),),
            symbols=("BTCUSDT",),
            from_ms=FROM_MS,
            to_ms=TO_MS,
            db=other,
        )
    )
    ended = fsm("parity", "--left", journal, "--right", other, "--json")
    assert ended.code == 4
    assert ended.document["unexplained"] == 0, ended.document["trades"]
    first = ended.document["trades"][0]
    assert first["cause"] == "FILL"
    assert "the same steps at prices up to 0.0" in first["told"]


def test_half_a_comparison_and_a_run_without_times_are_refused(fsm, journal) -> None:
    assert fsm("parity", "--left", journal).code == 2
    missing = fsm("parity", "--symbols", "BTCUSDT")
    assert (missing.code, "--from DATE --to DATE" in missing.stderr) == (2, True)


def test_times_outside_the_data_are_refused(fsm) -> None:
    ended = fsm("parity", "--symbols", "BTCUSDT", "--from", "2010-01-01", "--to", "2010-02-01")
    assert ended.code == 2
    assert "--from must lie inside the data" in ended.stderr
