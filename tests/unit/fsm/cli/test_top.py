"""`top`: one screen with what one looks at over ssh; a program gets the same as figures."""

from __future__ import annotations

from pathlib import Path

from store.database import open_store


def test_one_screen_has_the_account_the_budgets_and_what_is_nearest(fsm, journal: Path) -> None:
    shown = fsm("top", "--once", "--db", journal).stdout
    assert shown.startswith("BACKTEST   NOT RUNNING   equity ")
    assert "nothing is open" in shown
    assert all(len(line) <= 120 for line in shown.splitlines())
    found = fsm("top", "--json", "--db", journal).document
    (row,) = found["status"]["symbols"]
    near = row["nearest"]
    assert 0 <= near["lacking"] <= near["conditions"]
    assert f"{near['strategy']} {near['side']}" in shown


def test_a_name_from_the_rules_is_shown_as_text(fsm, journal_copy: Path) -> None:
    with open_store(journal_copy, mode="write") as store:
        store.connection.execute("DROP TRIGGER IF EXISTS symbols_update")
        store.connection.execute("UPDATE symbols SET symbol = '[red]BTC[/red]'")
    assert "[red]BTC" in fsm("top", "--once", "--db", journal_copy).stdout
