"""Explanations from the database alone: recorded numbers, numbers calculated again, and every kind of outcome (R55)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from fsm.core.model.records import State
from fsm.journal.explain import Explanation, NothingDecided, Numbers, explain
from rules.load import load_rules
from store import queries
from store.database import Store, open_store
from store.rows import DecisionRow

ROOT = Path(__file__).parents[4]
FROM_MS, TO_MS = 1_719_792_000_000, 1_727_740_800_000  # 2024-07-01 to 2024-10-01
HOUR_MS = 3_600_000
SYMBOLS = ("BTCUSDT", "SOLUSDT")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three months of two symbols that hinder each other: only one position may be open."""
    folder = tmp_path_factory.mktemp("why")
    text = (ROOT / "config.yaml").read_text("utf-8").replace("max_open_positions: 3", "max_open_positions: 1")
    (folder / "config.yaml").write_text(text, "utf-8")
    run_backtest(
        Request(
            config=load_config(folder / "config.yaml", None, {}),
            rules=load_rules(ROOT / "rules.yaml"),
            data=(shipped_folder(),),
            symbols=SYMBOLS,
            from_ms=FROM_MS,
            to_ms=TO_MS,
            db=folder / "out.sqlite",
        )
    )
    return folder / "out.sqlite"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with open_store(database, mode="read") as opened:
        yield opened


def decisions(store: Store, **wanted: str) -> list[DecisionRow]:
    found = queries.decisions(store, limit=10_000, **wanted)
    assert found, wanted
    return found[::-1]


def closed_ms(candle_ms: int) -> int:
    return candle_ms + HOUR_MS


def explained(store: Store, row: DecisionRow, candle_ms: int) -> Explanation:
    return explain(store, row.symbol, closed_ms(candle_ms))


class TestWhichDecision:
    def test_every_first_candle_is_explained_with_what_was_recorded(self, store: Store) -> None:
        for row in decisions(store, symbol="BTCUSDT")[:12]:
            found = explained(store, row, row.candle_ms)
            assert (found.outcome, found.reason, found.candle_ms) == (row.outcome, row.reason, row.candle_ms)
            assert found.numbers is Numbers.RECORDED
            assert (found.first_ms, found.last_ms, found.count) == (row.candle_ms, row.last_ms, row.count)
            assert found.asked_ms is None

    def test_an_instant_within_a_candle_means_the_one_that_had_closed(self, store: Store) -> None:
        row = decisions(store, symbol="BTCUSDT", outcome="SIGNAL")[0]
        for offset_ms in (0, 1, HOUR_MS - 1):
            assert explain(store, "BTCUSDT", closed_ms(row.candle_ms) + offset_ms).candle_ms == row.candle_ms
        assert explain(store, "BTCUSDT", closed_ms(row.candle_ms) - 1).candle_ms == row.candle_ms - HOUR_MS

    def test_without_a_time_it_is_the_newest(self, store: Store) -> None:
        newest = decisions(store, symbol="SOLUSDT")[-1]
        assert explain(store, "SOLUSDT").candle_ms == newest.last_ms

    def test_after_the_last_decision_the_last_one_is_explained_and_it_says_what_was_asked(self, store: Store) -> None:
        found = explain(store, "BTCUSDT", TO_MS + 10 * HOUR_MS)
        assert found.asked_ms == TO_MS + 9 * HOUR_MS
        assert found.candle_ms == found.last_ms == decisions(store, symbol="BTCUSDT")[-1].last_ms

    def test_before_the_first_decision_and_of_unknown_symbols_there_is_nothing(self, store: Store) -> None:
        with pytest.raises(NothingDecided, match="not decided on by then") as early:
            explain(store, "BTCUSDT", FROM_MS)
        assert early.value.hint == "its first decision is of 2024-07-01 01:00 UTC"
        with pytest.raises(NothingDecided, match="nothing was decided about ETHUSDT") as unknown:
            explain(store, "ETHUSDT")
        assert unknown.value.hint == "there are decisions about BTCUSDT, SOLUSDT"


class TestNumbersInBetween:
    def test_between_the_ends_of_a_stretch_the_rules_still_say_what_was_decided(self, store: Store) -> None:
        stretches = [row for row in decisions(store, outcome="NO_SIGNAL") if row.count > 3][:12]
        for row in stretches:
            found = explained(store, row, row.candle_ms + 2 * HOUR_MS)
            assert found.numbers is Numbers.RECOMPUTED
            assert found.rules.signal is not None
            assert found.rules.signal.reason.value == row.reason
            assert found.rules.state.regime == row.regime

    def test_what_is_calculated_again_equals_what_the_next_candle_recorded(
        self, database: Path, tmp_path: Path
    ) -> None:
        """Where a stretch is cut in two, the first candle of the second part has both kinds of numbers."""
        with open_store(database, mode="read") as store:
            rows = decisions(store, symbol="BTCUSDT")
            pairs = [(first, second) for first, second in pairwise(rows) if first.outcome != "SIGNAL"][::6][:12]
            recorded = [explained(store, second, second.candle_ms) for _, second in pairs]
        assert len(pairs) >= 8
        for (first, second), expected in zip(pairs, recorded, strict=True):
            joined = Path(shutil.copy(database, tmp_path / "joined.sqlite"))
            rewrite(joined, f"DELETE FROM decisions WHERE id = {second.id}")
            rewrite(joined, f"UPDATE decisions SET last_ms = {second.last_ms} WHERE id = {first.id}")
            with open_store(joined, mode="read") as store:
                again = explained(store, second, second.candle_ms)
            assert again.numbers is Numbers.RECOMPUTED
            assert again.rules == expected.rules

    def test_without_the_candles_the_first_candle_stands_for_its_stretch(self, database: Path, tmp_path: Path) -> None:
        bare = Path(shutil.copy(database, tmp_path / "bare.sqlite"))
        rewrite(bare, "DELETE FROM candles WHERE timeframe = '4h' AND symbol = 'BTCUSDT'")
        with open_store(bare, mode="read") as store:
            row = next(row for row in decisions(store, symbol="BTCUSDT") if row.count > 3)
            found = explained(store, row, row.candle_ms + 2 * HOUR_MS)
            first = explained(store, row, row.candle_ms)
        assert found.numbers is Numbers.FIRST
        assert found.rules == first.rules

    def test_the_rules_that_were_in_force_speak_and_without_them_it_says_so(
        self, database: Path, tmp_path: Path
    ) -> None:
        bare = Path(shutil.copy(database, tmp_path / "bare.sqlite"))
        rewrite(bare, "DELETE FROM rule_versions")
        with open_store(bare, mode="read") as store, pytest.raises(NothingDecided, match="the rules with hash"):
            explain(store, "BTCUSDT")


class TestSummaries:
    def test_a_signal_names_strategy_side_and_prices(self, store: Store) -> None:
        row = decisions(store, outcome="SIGNAL")[0]
        found = explained(store, row, row.candle_ms)
        assert found.summary.startswith(f"{row.regime} (confidence ")
        assert " signal: entry " in found.summary
        assert all(guard.passed for guard in found.guards)
        assert found.record.state is State.IDLE

    def test_a_signal_that_a_guard_refused_names_the_guard_and_both_numbers_r44(self, store: Store) -> None:
        row = next(row for row in decisions(store, outcome="BLOCKED") if row.reason == "MAX_OPEN_POSITIONS")
        found = explained(store, row, row.candle_ms)
        assert found.summary.endswith("; refused by MAX_OPEN_POSITIONS: found 2, needed <= 1")
        assert found.portfolio is not None
        assert found.portfolio.open_positions == 1

    def test_a_cooldown_says_until_when(self, store: Store) -> None:
        row = next(row for row in decisions(store, outcome="BLOCKED") if row.reason == "COOLDOWN")
        found = explained(store, row, row.candle_ms)
        assert found.summary.startswith("no entry is looked for: COOLDOWN until 2024-")

    def test_an_open_trade_says_what_is_held_and_what_would_end_it(self, store: Store) -> None:
        held = [row for row in decisions(store, outcome="IN_TRADE") if row.reason == "HOLDING" and row.count > 2]
        explanations = [explained(store, row, row.candle_ms + HOUR_MS) for row in held[:6]]
        for found in explanations:
            trade = found.record.trade
            assert trade is not None
            assert found.summary.startswith(f"in trade {trade.id} of {trade.strategy} ({trade.side} ")
            assert found.summary.endswith(": HOLDING")
            assert found.record.state is State.PROTECTED
        assert any(found.exit_conditions for found in explanations)

    def test_everything_fits_into_a_document(self, store: Store) -> None:
        found = explain(store, "BTCUSDT").document()
        assert {"summary", "rules", "guards", "record", "numbers", "exit_conditions"} <= set(found)


def rewrite(path: Path, sql: str) -> None:
    """Change what may only grow, as no product code can."""
    connection = apsw.Connection(str(path))
    for (name,) in list(connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(sql)
    connection.close()
