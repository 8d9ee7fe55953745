"""A wrong clock of this machine keeps no `flatten` from being carried out, and makes no old `resume` young (R82)."""

from __future__ import annotations

import pytest

from exchange.server_time import Measured
from fsm.live.context.clock import MachineClock
from fsm.live.operator.command_age import age_ms
from store.views import CommandRow

NOW_MS = 1_764_406_800_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


class At(MachineClock):
    """The exchange's time is known; this machine's shows so much more or less."""

    def __init__(self, off_ms: int = 0, *, measured: bool = True) -> None:
        super().__init__()
        self._off_ms, self._is_measured = off_ms, measured

    def now_ms(self) -> int:
        return NOW_MS

    def wall_ms(self) -> int:
        return NOW_MS + self._off_ms

    @property
    def measured(self) -> Measured | None:
        return Measured(offset_ms=-self._off_ms, round_trip_ms=9, at_ms=NOW_MS) if self._is_measured else None


def left(kind: str, ago_ms: int, *, off_ms: int = 0) -> CommandRow:
    """So long ago in truth, on a machine whose clock was off by so much then."""
    return CommandRow(
        id=1, kind=kind, symbol=None, source="cli", state="posted",
        posted_ms=NOW_MS - ago_ms + off_ms, taken_ms=None,
        finished_ms=None, guard=None, detail=None,
    )  # fmt: skip


ALWAYS_OFF = [0, -50 * MINUTE_MS, 3 * HOUR_MS, -400 * 24 * HOUR_MS]


@pytest.mark.parametrize("off_ms", ALWAYS_OFF)
@pytest.mark.parametrize("kind", ["flatten", "resume", "release"])
def test_a_young_one_is_young_right_after_a_bot_whatever_the_clock_was_and_is(kind: str, off_ms: int) -> None:
    for then_ms, now_ms in ((off_ms, off_ms), (off_ms, 0), (0, off_ms), (off_ms, -off_ms)):
        assert age_ms(left(kind, MINUTE_MS, off_ms=then_ms), At(now_ms), NOW_MS - 5 * MINUTE_MS) <= 5 * MINUTE_MS


@pytest.mark.parametrize("off_ms", ALWAYS_OFF)
def test_a_flatten_on_a_machine_that_is_wrong_all_the_time_is_as_young_as_it_is(off_ms: int) -> None:
    assert age_ms(left("flatten", MINUTE_MS, off_ms=off_ms), At(off_ms), None) <= MINUTE_MS


@pytest.mark.parametrize("off_ms", ALWAYS_OFF)
@pytest.mark.parametrize("kind", ["resume", "release"])
def test_an_old_resume_is_old_though_one_of_the_clocks_would_take_it_for_new(kind: str, off_ms: int) -> None:
    """Left as long ago as the machine's clock is ahead, or before that clock fell back to when it was left."""
    age = 3 * HOUR_MS
    assert age_ms(left(kind, age, off_ms=off_ms), At(off_ms), NOW_MS - 24 * HOUR_MS) >= age
    assert age_ms(left(kind, age), At(-age), NOW_MS - 24 * HOUR_MS) >= age


def test_an_old_flatten_is_old() -> None:
    assert age_ms(left("flatten", HOUR_MS), At(), NOW_MS - 24 * HOUR_MS) == HOUR_MS


def test_one_that_a_bot_had_taken_is_as_old_as_that() -> None:
    assert age_ms(left("resume", 2 * MINUTE_MS, off_ms=-9 * HOUR_MS), At(), NOW_MS - MINUTE_MS) == MINUTE_MS


def test_a_simulated_exchange_lives_at_another_time() -> None:
    clock = At(400 * 24 * HOUR_MS, measured=False)
    assert age_ms(left("resume", MINUTE_MS, off_ms=400 * 24 * HOUR_MS), clock, None) == MINUTE_MS
