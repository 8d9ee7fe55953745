"""`rules diff` says what an edit changes, in words and on history; its trades are those of two backtests."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.effort import sampled

SPAN = ("--symbols", "BTCUSDT,ETHUSDT", "--from", "2024-09-01", "--to", "2024-12-31")
FIELDS = "strategy_used, stop_price_initial, quantity, entry_price, exit_reason, exit_price, closed_ms, net_pnl"


def edited(project: Path, *edits: tuple[str, str]) -> str:
    text = (project / "rules.yaml").read_text("utf-8")
    for before, after in edits:
        assert before in text
        text = text.replace(before, after, 1)
    (project / "new.yaml").write_text(text, "utf-8")
    return "new.yaml"


def trades_of(path: Path) -> dict[tuple[str, int, str], tuple[object, ...]]:
    rows = sqlite3.connect(path).execute(f"SELECT symbol, signal_candle_ms, side, {FIELDS} FROM trades")
    return {(symbol, at_ms, side): tuple(rest) for symbol, at_ms, side, *rest in rows}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first of the tests leaves the run of the shipped rules, which is the same for each."""
    return tmp_path_factory.mktemp("before") / "a.sqlite"


@pytest.mark.parametrize(
    "edit",
    sampled(
        [
            ("pullback_rsi_high: 60 ", "pullback_rsi_high: 52 "),
            ("adx_trend: 25 ", "adx_trend: 30 "),
            ("day_high_1h - 2.5 * atr_4h", "day_high_1h - 1.5 * atr_4h"),
        ],
        often=1,
        single=True,
    ),
)
def test_its_trades_are_the_difference_of_two_backtests(fsm, project, before, edit) -> None:
    new = edited(project, edit)

    def run(rules: str, db: Path) -> Path:
        assert fsm("backtest", "--rules", rules, *SPAN, "--db", db).code == 0
        return db

    old_trades = trades_of(before if before.exists() else run("rules.yaml", before))
    new_trades = trades_of(run(new, project / "b.sqlite"))
    ended = fsm("rules", "diff", "rules.yaml", new, *SPAN, "--json")
    assert ended.code == 0
    told = ended.document
    found = {(each["symbol"], each["candle_ms"], each["side"]): each["kind"] for each in told["trades"]["differences"]}
    expected = {
        key: "ONLY_NEW" if key not in old_trades else "ONLY_OLD" if key not in new_trades else "DIFFERS"
        for key in {*old_trades, *new_trades}
        if old_trades.get(key) != new_trades.get(key)
    }
    assert found == expected
    assert found, "the edit matters"
    assert told["old"]["trades"] == len(old_trades)
    assert told["new"]["trades"] == len(new_trades)
    assert bool(told["signals"]) == ("day_high_1h" not in edit[0]), "a trail moves stops and makes no signal"


def test_an_edit_is_told_in_words_and_what_it_moves_is_counted(fsm, project) -> None:
    new = edited(
        project,
        ("adx_trend: 25 ", "adx_trend: 30 "),
        ('        - {id: expansion, when: "bandwidth_change_4h >= squeeze_expansion"}\n', ""),
        ("break_even_at_r: 1.5 ", "break_even_at_r: 2 "),
    )
    ended = fsm("rules", "diff", "rules.yaml", new, *SPAN)
    assert ended.code == 0
    for told in (
        "threshold adx_trend: 25 → 30",
        "strategy squeeze_breakout, long, setup, expansion is gone; it was bandwidth_change_4h >= squeeze_expansion",
        "strategy trend_pullback, manage, break_even_at_r: 1.5 → 2",
        "allows more: strategies.squeeze_breakout.long.setup",
        "Candles in another regime",
        "only new",
    ):
        assert told in ended.stdout, ended.stdout


def test_files_that_mean_the_same_differ_in_nothing(fsm, project) -> None:
    new = edited(project, ("# When to trade.", "# When to trade, and when not to."))
    told = fsm("rules", "diff", "rules.yaml", new, *SPAN, "--json").document
    assert told["changes"] == []
    assert (told["regimes"]["stretches"], told["signals"], told["trades"]["differences"]) == ([], [], [])
    assert float(told["net_pnl_usdt"]["difference"]) == 0
    assert told["trades"]["same"] == told["old"]["trades"] > 0


def test_a_file_that_cannot_be_used_is_told_with_its_place(fsm, project) -> None:
    new = edited(project, ("adx_trend: 25 ", "adx_trend: many "))
    ended = fsm("rules", "diff", "rules.yaml", new, *SPAN)
    assert ended.code == 2
    assert "new.yaml:" in ended.stderr
