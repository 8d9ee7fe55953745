"""What of a row is carried out, and when: one order for the running bot and the backtest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from exchange.types import Confirmed, Outcome, Unknown
from fsm.core.model.intents import ClosePosition, Intent, Look, PlaceStop, PlaceTarget
from fsm.core.model.records import State
from fsm.core.step_order import Act, Named, closes_first, following, in_order
from tests.unit.fsm.core.stage import Stage


def first_fill() -> tuple[Named, ...]:
    """A stop, two targets and a look, as the first fill of an entry asks for them."""
    stage = Stage()
    stage.protected()
    sent = [intent for intent in stage.sent if isinstance(intent, PlaceStop | PlaceTarget)]
    intents: list[Intent] = [*sent, Look(symbol="BTCUSDT")]
    return tuple((str(number), intent) for number, intent in enumerate(intents))


def carried(
    row: deque[Named],
    outcome: Callable[[Intent], Outcome | None] = lambda intent: Confirmed(),
    state: Callable[[], State] = lambda: State.ENTERING,
) -> list[str]:
    order, told = in_order(row, state), []
    upcoming = next(order, None)
    while upcoming is not None:
        told.append(f"{upcoming.act.value} {type(upcoming.intent).__name__}")
        upcoming = following(order, outcome(upcoming.intent) if upcoming.act is Act.SEND else None)
    return told


def test_a_stop_is_read_back_before_its_targets_are_placed() -> None:
    row = deque(first_fill())
    assert carried(row) == ["send PlaceStop", "look Look", "send PlaceTarget", "send PlaceTarget"]
    assert not row


def test_a_stop_that_is_not_confirmed_drops_what_follows_it_up_to_the_look() -> None:
    told = carried(deque(first_fill()), lambda intent: Unknown("time-out"))
    assert told == ["send PlaceStop", "leave out PlaceTarget", "leave out PlaceTarget", "look Look"]


def test_targets_are_left_out_where_the_look_shows_the_position_gone() -> None:
    states = iter([State.ENTERING] + [State.FLATTEN] * 9)
    told = carried(deque(first_fill()), state=lambda: next(states))
    assert told == ["send PlaceStop", "look Look", "leave out PlaceTarget", "leave out PlaceTarget"]


def test_an_answer_that_nobody_waits_for_sends_nothing_more() -> None:
    assert carried(deque(first_fill()), lambda intent: None)[1:3] == ["leave out PlaceTarget"] * 2


def test_what_is_given_up_is_not_begun() -> None:
    row = deque(first_fill())
    order = in_order(row, lambda: State.ENTERING)
    assert next(order).act is Act.SEND
    row.clear()
    assert following(order, Confirmed()) is None


def test_a_close_leaves_before_what_may_be_in_its_way_while_nothing_covers() -> None:
    stage = Stage().protected()
    stage.command("flatten")
    close = next(intent for intent in stage.sent if isinstance(intent, ClosePosition))
    row: tuple[Named, ...] = (("1", Look(symbol="BTCUSDT")), ("2", close))
    assert [name for name, _ in closes_first(row)] == ["2", "1"]
