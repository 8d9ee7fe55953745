"""When a stop without an answer leaves again, and when it does not (R84)."""

from __future__ import annotations

import asyncio

import pytest

from exchange.sim.core.reasons import refused
from exchange.types import Confirmed, Outcome, Unknown
from fsm.live.context.clock import DrivenClock
from fsm.live.trading.hurry import AGAIN_S, CALLS_MAX, UNANSWERED_S, Hurry
from fsm.proofs.testkit.virtual_time import run_virtually


class Route:
    """Answers in their order, each after some seconds; from then on nothing is answered. Notes when what left."""

    def __init__(self, *answers: tuple[float, Outcome]) -> None:
        self._answers = list(answers)
        self.left_s: list[float] = []
        self.under_way_max = self._under_way = 0

    async def send(self) -> Outcome:
        self.left_s.append(asyncio.get_running_loop().time())
        after_s, outcome = self._answers.pop(0) if self._answers else (1e9, Unknown("never"))
        self._under_way += 1
        self.under_way_max = max(self.under_way_max, self._under_way)
        try:
            await asyncio.sleep(after_s)
        finally:
            self._under_way -= 1
        return outcome


def hurried(route: Route, *, wanted_s: float = 5.0, held_up: bool = False) -> tuple[Outcome, float]:
    """What came of it, and after how many seconds."""

    async def play() -> tuple[Outcome, float]:
        loop = asyncio.get_running_loop()
        hurry = Hurry(
            route.send,
            DrivenClock(lambda: 0),
            is_wanted=lambda: loop.time() < wanted_s,
            is_held_up=lambda: held_up,
        )
        return await hurry.run(), loop.time()

    return run_virtually(play())


def test_without_an_answer_it_leaves_again_beside_the_first_call_and_either_answer_counts() -> None:
    route = Route((0.9, Confirmed()), (600.0, Unknown("hangs")))
    assert hurried(route) == (Confirmed(), 0.9)
    assert route.left_s == [0.0, UNANSWERED_S]
    route = Route((600.0, Unknown("hangs")), (0.05, Confirmed()))
    assert hurried(route) == (Confirmed(), UNANSWERED_S + 0.05)


def test_after_a_passing_answer_it_leaves_every_half_second() -> None:
    busy = refused(-1008, "busy")
    route = Route((0.05, busy), (0.05, Unknown("cut")), (0.05, Confirmed()))
    assert hurried(route) == (Confirmed(), 2 * AGAIN_S + 0.05)
    assert route.left_s == [0.0, AGAIN_S, 2 * AGAIN_S]


@pytest.mark.parametrize("code", [503, -4999, -2017, -2023, -4140, -2022])
def test_r84_what_does_not_say_that_it_can_never_rest_is_tried_again(code: int) -> None:
    route = Route(*[(0.05, refused(code, "no"))] * 3, (0.05, Confirmed()))
    assert hurried(route)[0] == Confirmed()
    assert route.left_s == [0.0, AGAIN_S, 2 * AGAIN_S, 3 * AGAIN_S]
    never = Route(*[(0.05, refused(code, "no"))] * 100)
    assert hurried(never)[0] == refused(code, "no"), "the deadline ends it, and the last answer says why"


@pytest.mark.parametrize("code", [-2021, -4045, -2015, -1111, -4120, -1121])
def test_what_can_never_rest_is_settled_by_its_first_answer(code: int) -> None:
    route = Route((0.05, refused(code, "no")), (0.05, Confirmed()))
    assert hurried(route) == (refused(code, "no"), 0.05)
    assert route.left_s == [0.0]


def test_a_route_that_swallows_everything_is_given_up_when_nobody_wants_it_any_more() -> None:
    route = Route()
    outcome, after_s = hurried(route)
    assert outcome == Unknown("no answer")
    assert after_s == 5.25
    assert route.left_s == [UNANSWERED_S * number for number in range(7)]
    assert route.under_way_max == CALLS_MAX


def test_r84_a_route_that_is_back_meets_the_next_call_whatever_hangs() -> None:
    """It swallows everything for four seconds, and the calls of that time for ever."""
    hangs = (1e9, Unknown("never"))
    route = Route(*[hangs] * 6, (0.05, Confirmed()))
    assert hurried(route) == (Confirmed(), 6 * UNANSWERED_S + 0.05)


def test_r84_the_first_call_is_waited_for_however_many_follow_it() -> None:
    route = Route((4.0, Confirmed()))
    assert hurried(route) == (Confirmed(), 4.0)


def test_while_the_exchange_holds_everything_up_no_second_call_waits_for_its_turn() -> None:
    route = Route((3.0, Confirmed()))
    assert hurried(route, held_up=True) == (Confirmed(), 3.0)
    assert route.left_s == [0.0]
