"""`limits` before there is a bot, and of databases in which none has counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.database import open_store


def test_before_the_first_start_it_says_what_config_allows(fsm, project) -> None:
    found = fsm("limits", "--json").document
    assert found["database"] is None
    allowed = {row["name"]: float(row["allowed"]) for row in found["budgets"]}
    assert allowed == {
        "LIMIT_DAY": 3.0,
        "LIMIT_WEEK": 5.0,
        "LIMIT_MONTH": 10.0,
        "LIMIT_DRAWDOWN": 25.0,
        "open_positions": 3.0,
        "open_risk": 2.0,
        "exposure": 150.0,
    }
    text = fsm("limits").stdout
    assert "no bot has run on sim" in text
    assert "% of equity" in text
    assert found["fast_fall"]["lost_at_most"] == "2.7"
    assert "2.70 % of equity at most (1.8 R each)" in text


def test_a_database_that_was_named_must_be_there(fsm, project) -> None:
    ended = fsm("limits", "--db", "nowhere.sqlite")
    assert ended.code == 2
    assert "there is no database at nowhere.sqlite" in ended.stderr
    assert "hint: " in ended.stderr


def test_a_backtest_has_an_account_but_no_budgets_that_run(fsm, journal) -> None:
    ended = fsm("limits", "--db", journal)
    assert ended.code == 0
    assert "equity  " in ended.stdout
    assert "No bot has counted with this database yet" in ended.stdout
    assert fsm("limits", "--json", "--db", journal).document["budgets"] == []


@pytest.mark.parametrize("environment", ["testnet", "mainnet"])
def test_the_database_of_another_environment_is_read_all_the_same(fsm, project, environment) -> None:
    path = Path("other.sqlite")
    with open_store(path, mode="write") as store:
        store.bind(environment=environment, account="another", at_ms=0)
    assert fsm("limits", "--json", "--db", path).document["environment"] == environment
