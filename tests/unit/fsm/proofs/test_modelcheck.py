"""The model check finds nothing in the engine, everything in the broken ones, and says the same each time."""

from __future__ import annotations

import msgspec
import pytest

from exchange.types import OrderType
from fsm.core import decide, engine
from fsm.core.states import closing
from fsm.proofs.modelcheck.invariants import CLAIMS, Violation
from fsm.proofs.modelcheck.search import ROOTS, Report, check_model, check_variant, replay_story
from fsm.proofs.testkit.breaking import broken
from fsm.proofs.testkit.broken_engines import VARIANTS


@pytest.fixture(scope="module")
def report() -> Report:
    return check_model(3)


def test_nothing_that_must_hold_is_violated_three_choices_deep_from_any_start(report: Report) -> None:
    assert [story.lines for story in report.violations] == []
    assert report.states > 1_500
    assert report.transitions > report.states
    assert set(report.by_root) == {root.name for root in ROOTS}
    assert report.rows > 50, "too few kinds of journal rows: the model does not reach what it should"
    assert report.cases == report.transitions + report.fair_steps


def test_the_same_depth_gives_the_same_states(report: Report) -> None:
    first, again = check_model(2), check_model(2)
    assert (again.states, again.transitions, again.by_root) == (first.states, first.transitions, first.by_root)
    assert again.states < report.states


def test_a_short_trade_is_a_long_one_in_a_mirror() -> None:
    """Short states are merged with their mirror images, so both sides must explore alike."""
    long, short = (
        msgspec.structs.replace(root, prefix=(f"a candle closes: go {side}", *root.prefix[1:]))
        for root in ROOTS
        if root.name == "a protected trade"
        for side in ("long", "short")
    )
    found = [check_model(2, roots=(root,)) for root in (long, short)]
    assert found[0].violations == found[1].violations == ()
    assert (found[0].states, found[0].transitions) == (found[1].states, found[1].transitions)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_broken_engine_is_caught_and_its_story_replays(name: str) -> None:
    variant = VARIANTS[name]
    found = check_variant(variant, 3)
    assert found.violations, f"{name} went through {found.states} states unnoticed"
    story = found.violations[0]
    assert story.claim in CLAIMS
    assert story.lines[-1].strip().startswith(story.claim) or story.claim == "NO_STUCK_STATE"
    if story.claim == "NO_STUCK_STATE" or variant.resends_entries:
        return
    kind = next(root.entry_type for root in ROOTS if root.name == story.root)
    with broken(variant), pytest.raises(Violation, match=story.claim):
        replay_story(story.choices, kind)


def test_there_are_at_least_twelve_broken_engines_and_each_is_described() -> None:
    assert len(VARIANTS) >= 12
    assert len({variant.fault for variant in VARIANTS.values()}) == len(VARIANTS)


def test_the_core_is_whole_again_after_a_broken_one() -> None:
    before = (engine.decide, closing._close_more)
    for name in ("deadline-ignored", "one-piece-only"):
        with broken(VARIANTS[name]):
            assert (engine.decide, closing._close_more) != before
    assert (engine.decide, closing._close_more) == before
    assert engine.decide is decide.decide


def test_a_choice_that_is_not_offered_cannot_be_replayed() -> None:
    with pytest.raises(KeyError, match="the moon rises"):
        replay_story(("the moon rises",), OrderType.MARKET)
