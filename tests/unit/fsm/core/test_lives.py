"""The journal of whole lives stays as it was recorded: every reason, fact, guard, order and amount in it.

Audits, alerts and replays read these rows, so none of them changes unnoticed. Where a change is meant, write them anew:
``python -m tests.unit.fsm.core.lives``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

import pytest

from fsm.core.model.transition_table import TABLE, Trigger
from tests.unit.fsm.core.lives import LIVES, RECORDED_BY_THE_FIRST, journal, recorded

RECORDED = recorded()
BY_THE_FIRST = recorded(RECORDED_BY_THE_FIRST)
EMPTY = (None, False, 0, "0", "", [], {})
NOTHING_CHANGED = re.compile(r"    [a-z_.]+: (None|False|0|''|\[\]|\(\)) -> (None|False|0|''|\[\]|\(\))")
EMPTY_WITHIN = re.compile(r"'\w+': (None|False|0|'0'|''|\[\]|\(\))(, |(?=}))")
ROW = re.compile(r"  ([A-Z]+) ([a-z]+) .* -> ([A-Z]+)")


@pytest.mark.parametrize("seed", range(LIVES))
def test_a_life_is_written_down_as_it_was(seed: int) -> None:
    before = "nothing"
    for number, (now, was) in enumerate(zip_longest(journal(seed), RECORDED[seed])):
        assert now == was, f"line {number}, after {before!r}"
        before = now if now is not None and ROW.fullmatch(now) else before


def full(value: Any) -> Any:
    """Without fields that say nothing."""
    if isinstance(value, list):
        return [full(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: full(each) for name, each in value.items() if each not in EMPTY}


def told(lines: Iterable[str]) -> Iterator[str]:
    """The lines without fields that say nothing: those that later editions added stand there with their defaults."""
    for line in lines:
        words, brace, rest = line.partition("{")
        if brace and words.split()[0] in ("booked", "account", "facts"):
            yield words + json.dumps(full(json.loads("{" + rest)))
        elif not NOTHING_CHANGED.fullmatch(line):
            yield EMPTY_WITHIN.sub("", line)


@pytest.mark.parametrize("seed", range(LIVES))
def test_what_0_1_0_decided_its_edition_decides_again(seed: int) -> None:
    """A change of behaviour asks for ``setting.edition``, or journals of 0.1.0 no longer replay."""
    for number, (now, was) in enumerate(zip_longest(told(journal(seed, edition=1)), told(BY_THE_FIRST[seed]))):
        assert now == was, f"line {number}"


def test_the_lives_pull_every_trigger_and_reach_every_state() -> None:
    rows = [found.groups() for lines in RECORDED.values() for line in lines if (found := ROW.fullmatch(line))]
    of_a_start = {
        Trigger.RESTORE.value
    }  # with a journal that is older than the exchange: tests/integration/test_restores.py
    assert {trigger for _, trigger, _ in rows} == {trigger.value for trigger in Trigger} - of_a_start
    assert {dest for _, _, dest in rows} == {state.value for state in TABLE}
