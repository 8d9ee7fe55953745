"""How long positions stand without a stop is measured at the exchange, through the real client, fault by fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fsm.cli.app import app
from fsm.proofs.naked.broken_bots import VARIANTS
from fsm.proofs.naked.fault_catalog import ROWS
from fsm.proofs.naked.measure import MeasureOrder, one
from fsm.proofs.naked.page import BEGIN, END
from tests.effort import FULL


def naked(*args: str) -> Result:
    return CliRunner().invoke(app, ["naked", *args])


def test_positions_are_protected_within_one_round_trip_where_nothing_goes_wrong(tmp_path: Path) -> None:
    page = tmp_path / "protection.md"
    result = naked("--positions", "20", "--only", "none", "--json", "--page", str(page))
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["cases"] == 20
    assert document["violations"] == []
    (row,) = document["rows"]
    assert row["protected"] == 20
    assert 0 < row["worst_ms"] <= 100, "the fill is at the exchange, and its stop is there one round trip later"
    text = page.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert "(`none`)" in text


def test_a_fault_strikes_positions_while_they_are_naked_and_the_next_try_follows_in_time() -> None:
    """R84: after two refusals with -4509 the third stop leaves within 600 ms."""
    result = naked("--positions", "20", "--only", "position-lags", "--json")
    (row,) = json.loads(result.stdout)["rows"]
    assert row["struck_naked"] == 20
    assert row["violations"] == []
    assert row["in_time_pct"] == 100


def test_r80_a_position_that_a_hand_turned_round_is_named_in_time_and_left_alone() -> None:
    """It is not the bot's to protect: what is measured is the time until the alert with its size and what to do."""
    result = naked("--positions", "20", "--only", "flipped", "--json")
    (row,) = json.loads(result.stdout)["rows"]
    assert (row["named"], row["closed"], row["violations"]) == (20, 0, [])


def test_every_row_has_a_name_of_its_own_and_says_what_goes_wrong() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    listed = naked("--list")
    assert listed.exit_code == 0
    assert all(row.name in listed.output for row in ROWS)
    assert naked("--only", "no-such-row").exit_code == 2


@pytest.mark.parametrize("name", VARIANTS)
def test_each_broken_bot_is_caught_by_its_row_and_the_whole_one_is_not(name: str) -> None:
    """A thermometer that cannot rise measures nothing."""
    row, positions = VARIANTS[name].row, 5 if name == "same-form" else 15  # it sends so many orders that it takes long
    assert one(MeasureOrder(positions=15 if FULL else 5, rows=(row,), symbols=5), row).violations == ()
    assert one(MeasureOrder(positions=positions, rows=(row,), symbols=5, variant=name), row).violations
