"""The journal of whole lives stays as it was recorded: every reason, fact, guard, order and amount in it.

Audits, alerts and replays read these rows, so none of them changes unnoticed. Where a change is meant, write them anew:
``python -m tests.unit.fsm.core.lives``.
"""

from __future__ import annotations

import re
from itertools import zip_longest

import pytest

from fsm.core.states import TABLE, Trigger
from tests.unit.fsm.core.lives import LIVES, journal, recorded

RECORDED = recorded()
ROW = re.compile(r"  ([A-Z]+) ([a-z]+) .* -> ([A-Z]+)")


@pytest.mark.parametrize("seed", range(LIVES))
def test_a_life_is_written_down_as_it_was(seed: int) -> None:
    before = "nothing"
    for number, (now, was) in enumerate(zip_longest(journal(seed), RECORDED[seed])):
        assert now == was, f"line {number}, after {before!r}"
        before = now if now is not None and ROW.fullmatch(now) else before


def test_the_lives_pull_every_trigger_and_reach_every_state() -> None:
    rows = [found.groups() for lines in RECORDED.values() for line in lines if (found := ROW.fullmatch(line))]
    assert {trigger for _, trigger, _ in rows} == {trigger.value for trigger in Trigger}
    assert {dest for _, _, dest in rows} == {state.value for state in TABLE}
