"""R56: one pause of the exchange, its ladder of probes, and the way back. Times are real seconds."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.binance.pausing import PAUSE_S_MAX, QUIET_S, RETURN_S, Pausing


def _refused(pausing: Pausing, now_s: float, **more: Any) -> float:
    told = {"sent_s": now_s, "stated_s": None, "banned": False, "cause": "HTTP 429", **more}
    return pausing.refused(now_s, **told)


def _wait(pausing: Pausing, now_s: float, **more: Any) -> float:
    return pausing.wait_s(now_s, **{"protects": True, "opens": False, "signed": True, **more})


def _probes(pausing: Pausing, count: int, now_s: float = 0.0) -> list[float]:
    """When that many probes leave, each of them refused at once."""
    left: list[float] = []
    for _ in range(count):
        now_s += _wait(pausing, now_s)
        assert pausing.left(now_s, signed=True)
        _refused(pausing, now_s)
        left.append(now_s)
    return left


def test_r56_without_a_stated_end_probes_leave_one_two_four_eight_and_ten_seconds_apart() -> None:
    pausing = Pausing()
    assert _refused(pausing, 0.0) == 1.0
    assert _probes(pausing, 7) == [1, 3, 7, 15, 25, 35, 45]


def test_r56_a_probe_without_an_answer_does_not_hold_up_the_next_one() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0)
    assert pausing.left(1.0, signed=True)
    assert _wait(pausing, 1.5) == 0.5
    assert pausing.left(2.0, signed=True)
    assert _wait(pausing, 2.0) == 1.0


def test_r56_silence_is_no_refusal_so_the_ladder_of_a_ban_stays_where_it_is() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0, banned=True)
    for number in range(1, 6):
        assert _wait(pausing, 120.0 * number) == 0.0
        assert pausing.left(120.0 * number, signed=True)
    _refused(pausing, 601.0, sent_s=600.0, banned=True)
    assert _wait(pausing, 601.0) == 239.0, "a refusal is a step, counted from when the probe left"


def test_r56_two_probes_that_were_under_way_at_once_are_one_step() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0)
    pausing.left(1.0, signed=True)
    pausing.left(2.0, signed=True)
    _refused(pausing, 2.5, sent_s=1.0)
    _refused(pausing, 2.6, sent_s=2.0)
    assert _wait(pausing, 2.5) == 1.0


def test_r56_a_ban_of_unknown_length_is_asked_about_every_32_minutes_at_the_least() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0, banned=True)
    left = _probes(pausing, 10)
    assert [later - earlier for earlier, later in pairwise(left)][-4:] == [1_920.0] * 4


def test_r56_a_ban_without_a_stated_end_is_probed_after_two_minutes_and_then_twice_as_long() -> None:
    pausing = Pausing()
    assert _refused(pausing, 0.0, banned=True) == 120.0
    assert _probes(pausing, 4) == [120, 360, 840, 1_800]


def test_r56_a_ban_that_follows_a_probe_begins_its_own_ladder() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0)
    pausing.left(1.0, signed=True)
    assert _refused(pausing, 1.1, sent_s=1.0, banned=True) == 120.0
    assert pausing.banned


def test_r56_a_ban_that_has_ended_as_stated_is_not_probed_as_if_it_went_on() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0, banned=True)
    _refused(pausing, 0.1, banned=True, stated_s=5.0)
    pausing.left(5.2, signed=True)
    assert _wait(pausing, 5.2) == pytest.approx(1.0), "the first one got no answer yet"
    _refused(pausing, 5.3, banned=True)
    assert _wait(pausing, 5.3) == pytest.approx(120.0), "it does go on"


def test_r56_ends_that_are_stated_too_early_are_exceeded_by_more_and_more() -> None:
    """Seen: a ban grew with each request that came some ms before its end, and so it never ended."""
    pausing, now_s, late = Pausing(), 0.0, []
    for _ in range(8):
        wait_s = _refused(pausing, now_s, banned=True, stated_s=0.3)
        late.append(round(wait_s - 0.3, 3))
        now_s += wait_s
        pausing.left(now_s, signed=True)
    assert late == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 3.2, 3.2]
    pausing.answered(now_s + 0.1, sent_s=now_s, signed=True)
    assert _refused(pausing, 100.0, stated_s=7.0) == pytest.approx(7.1)


def test_r56_a_stated_end_is_kept_by_everybody_and_then_one_leaves() -> None:
    pausing = Pausing()
    assert _refused(pausing, 0.0, stated_s=7.15) == 7.25, "a tenth later, as clocks differ"
    for asks in ({}, {"protects": False}, {"protects": False, "signed": False}, {"opens": True, "protects": False}):
        assert _wait(pausing, 7.0, **asks) == 0.25
    assert _wait(pausing, 7.25) == 0.0
    assert pausing.left(7.25, signed=True)
    assert _wait(pausing, 7.25) == 1.0, "one at a time until it is answered"


def test_r56_of_two_ends_the_later_one_is_kept_whichever_comes_first() -> None:
    for first, second in ((3.0, 90.0), (90.0, 3.0)):
        pausing = Pausing()
        _refused(pausing, 1.0, stated_s=first, sent_s=0.0)
        _refused(pausing, 1.1, stated_s=second, sent_s=0.1)
        assert _wait(pausing, 1.1) == pytest.approx(90.1, abs=0.11)


def test_r56_an_answer_to_what_is_signed_ends_the_pause_at_once_for_what_protects() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0, banned=True, stated_s=1.9)
    pausing.left(2.0, signed=True)
    pausing.answered(2.1, sent_s=2.0, signed=True)
    assert (pausing.is_on, pausing.banned) == (False, False)
    assert _wait(pausing, 2.1) == 0.0
    assert _wait(pausing, 2.1, protects=False) == 0.0, "reads go, but for a minute at a part of their share"
    assert _wait(pausing, 2.1, protects=False, opens=True) == RETURN_S


def test_r56_reads_come_back_over_a_minute_at_half_their_share() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0)
    pausing.answered(1.0, sent_s=1.0, signed=True)
    shares = [pausing.read_share(1.0 + after_s) for after_s in (0, 15, 30, 59.9, 60)]
    assert shares == pytest.approx([0.05, 0.125, 0.25, 0.5, 1.0], abs=0.01)


def test_r56_an_answer_to_what_is_not_signed_proves_nothing_for_what_is() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0)
    pausing.answered(1.0, sent_s=0.5, signed=False)
    assert pausing.is_on
    assert _wait(pausing, 1.0, signed=False, protects=False) == 0.0
    assert not pausing.left(1.0, signed=False), "and takes no probe from anybody"
    assert pausing.left(1.0, signed=True)
    assert _wait(pausing, 1.0) == 1.0


def test_r56_only_what_was_sent_after_a_refusal_says_anything_new() -> None:
    pausing = Pausing()
    _refused(pausing, 10.0, sent_s=9.9)
    pausing.answered(10.1, sent_s=9.95, signed=True)
    assert pausing.is_on, "an answer to what left before the pause began"
    for _ in range(20):
        assert _refused(pausing, 10.2, sent_s=9.95) == pytest.approx(0.8), "twenty in flight are one pause"


def test_r56_an_older_refusal_does_not_take_back_what_a_newer_answer_proved() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0)
    pausing.answered(3.2, sent_s=3.0, signed=True)
    _refused(pausing, 3.3, sent_s=1.0)
    assert not pausing.is_on
    _refused(pausing, 3.4, sent_s=3.35)
    assert pausing.is_on
    assert _wait(pausing, 3.4) == pytest.approx(1.0), "a new pause begins at the foot of the ladder"


def test_r56_a_late_word_of_an_end_counts_however_old_the_request() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0)
    pausing.answered(3.2, sent_s=3.0, signed=True)
    _refused(pausing, 3.3, sent_s=1.0, stated_s=30.0)
    assert _wait(pausing, 3.3) == pytest.approx(30.1)


def test_r56_nobody_else_probes_while_anything_that_protects_asks() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0)
    pausing.asked(5.0)
    assert _wait(pausing, 6.0, protects=False) == QUIET_S - 1
    assert _wait(pausing, 5.0 + QUIET_S, protects=False) == 0.0


def test_a_probe_that_did_not_leave_is_there_for_the_next_one() -> None:
    pausing = Pausing()
    _refused(pausing, 0.0)
    pausing.left(1.0, signed=True)
    pausing.give_back(1.2)
    assert _wait(pausing, 1.2) == 0.0
    pausing.left(1.2, signed=True)
    assert _wait(pausing, 1.2) == pytest.approx(1.0)


def test_what_is_shown_is_the_cause_and_the_end_if_one_was_stated() -> None:
    pausing = Pausing()
    assert pausing.shown(0.0) is None
    _refused(pausing, 0.0, stated_s=29.9, banned=True, cause="HTTP 418")
    shown = pausing.shown(10.0)
    assert shown is not None
    assert (shown.cause, shown.left_s, shown.banned) == ("HTTP 418", 20.0, True)
    shown = pausing.shown(31.0)
    assert shown is not None
    assert shown.left_s is None


WORDS = st.lists(
    st.tuples(
        st.floats(0, 200),
        st.sampled_from(["ask", "refuse", "ban", "state", "answer", "market"]),
        st.floats(0, 5),
    ),
    max_size=60,
)


@given(WORDS)
def test_r56_whatever_the_exchange_says_there_is_always_a_next_probe_and_never_one_before_a_stated_end(
    words: list[tuple[float, str, float]],
) -> None:
    pausing, now_s, kept_until_s = Pausing(), 0.0, 0.0
    for step_s, word, travel_s in words:
        now_s += step_s
        sent_s = now_s - travel_s
        if word == "ask":
            pausing.asked(now_s)
        elif word in ("answer", "market"):
            pausing.answered(now_s, sent_s=sent_s, signed=word == "answer")
        else:
            stated_s = 10 * travel_s if word == "state" else None
            _refused(pausing, now_s, sent_s=sent_s, banned=word == "ban", stated_s=stated_s)
            kept_until_s = max(kept_until_s, now_s + (stated_s or 0.0))
        wait_s = _wait(pausing, now_s)
        assert 0 <= wait_s <= PAUSE_S_MAX
        assert _wait(pausing, now_s, protects=False) >= wait_s
        if now_s < kept_until_s and pausing.is_on:
            assert now_s + wait_s >= kept_until_s - 1e-6
        if wait_s == 0:
            pausing.left(now_s, signed=True)
