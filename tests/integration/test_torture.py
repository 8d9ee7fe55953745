"""Torture: the same seed is the same run, a broken engine is caught and told as a short story, fair runs hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exchange.sim.playback.symbols import shipped_folder
from fsm.cli.app import app
from fsm.cli.proofs.torture import Seeds
from fsm.proofs.testkit.broken_engines import VARIANTS
from fsm.proofs.torture.market import market_of
from fsm.proofs.torture.page import BEGIN, CAUGHT, END
from fsm.proofs.torture.plan import plan_of
from fsm.proofs.torture.promises import CLAIMS
from fsm.proofs.torture.run import run


def torture(*args: str) -> Result:
    return CliRunner().invoke(app, ["torture", *args])


def test_a_range_of_seeds_holds_and_is_the_same_run_each_time() -> None:
    """Both ends of the range are run; every claim that is looked at in a run was looked at."""
    documents = []
    for _ in range(2):
        result = torture("--seeds", "11..12", "--days", "1", "--json")
        assert result.exit_code == 0, result.output
        documents.append(json.loads(result.stdout))
    first, second = documents
    assert first["cases"] == 2
    assert first["violations"] == []
    assert first["seconds"] > 0
    assert sorted(first["hashes"]) == ["11", "12"]
    assert first["hashes"] == second["hashes"]
    assert set(first["checks"]) <= set(CLAIMS)
    looked_at = {"COMMITTED_FIRST", "REDUCE_ONLY", "FILTERS", "LIMITS", "NO_ENTRY_WHILE_BLOCKED", "COMES_TO_REST",
                 "RECOVERY_IDEMPOTENT", "JOURNAL_VERIFIES", "REPLAY_IDENTICAL", "SURVIVES_RESTART"}  # fmt: skip
    assert looked_at <= set(first["checks"])


def test_the_real_client_is_tortured_before_the_emulators_own_routes() -> None:
    """Budgets, pauses, time-outs and the user stream are in the world, and the same seed is the same run."""
    documents = []
    for _ in range(2):
        result = torture("--client", "real", "--seeds", "3", "--days", "1", "--json")
        assert result.exit_code == 0, result.output
        documents.append(json.loads(result.stdout))
    first, second = documents
    assert first["hashes"] == second["hashes"]
    assert first["calls"] > 200, "requests, of which a look takes several"
    assert first["faults"]
    assert first["speed"] >= 2_000


def test_a_broken_engine_ends_with_4_and_a_story_that_can_be_run_again() -> None:
    result = torture("--seeds", "11", "--days", "1", "--variant", "close-can-open", "--json")
    assert result.exit_code == 4, result.output
    (story,) = json.loads(result.stdout)["violations"]
    assert story["claim"] == "REDUCE_ONLY"
    assert story["command"].endswith("torture --seeds 11..11 --days 1 --symbols 3 --variant close-can-open")
    assert len(story["disturbances"]) <= 1, "whatever has nothing to do with it is left out"
    assert story["steps"]


@pytest.mark.parametrize("name", CAUGHT)
def test_broken_engines_are_caught(name: str) -> None:
    """A checker that cannot fail proves nothing."""
    seed, days, claim = CAUGHT[name]
    market = market_of((shipped_folder(),), 3)
    plan = plan_of(seed, market.symbols, market.first_ms, market.last_ms, days)
    assert run(plan, market, variant=VARIANTS[name]).violations[0].claim == claim


def test_the_page_of_proofs_gets_a_part_of_its_own(tmp_path: Path) -> None:
    page = tmp_path / "proofs.md"
    page.write_text("# Proofs\n\nkept\n")
    for _ in range(2):
        result = torture("--seeds", "11", "--days", "1", "--page", str(page))
        assert result.exit_code == 0, result.output
    text = page.read_text()
    assert text.startswith("# Proofs\n")
    assert "\nkept\n" in text
    assert text.count(BEGIN) == text.count(END) == 1
    assert all(f"`{claim}`" in text for claim in CLAIMS)


def test_continuous_integration_can_take_its_seeds_from_the_clock() -> None:
    assert Seeds().convert("1795815000..1795815999", None, None) == (1_795_815_000, 1_795_815_999)
    assert Seeds().convert("7", None, None) == (7, 7)


@pytest.mark.parametrize(("seeds", "says"), [("5..3", "the larger"), ("a", "no range"), ("1..", "no range")])
def test_a_range_that_is_none_is_bad_usage(seeds: str, says: str) -> None:
    result = torture("--seeds", seeds)
    assert result.exit_code == 2
    assert says in result.output
