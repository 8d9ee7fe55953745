"""R59: a position that goes while its stop moves or is placed: a look comes first, and evidence ends the trade."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from exchange.client_ids import Leg
from exchange.types import AlgoStatus, Side, SymbolSnapshot
from fsm.core.model.intents import CancelAlgo, Intent, PlaceStop
from fsm.core.model.records import State
from fsm.core.retry_backoff import NAKED_TRIES
from tests.unit.fsm.core.stage import Stage, truth, with_position

WHOLE = "0.069"


def stops(stage: Stage) -> list[PlaceStop]:
    return [intent for intent in stage.sent if isinstance(intent, PlaceStop)]


def gone_while_moving(at: type[Intent], *, by_stop: bool = False) -> Stage:
    """A trailing stop moves; just before the first of these calls somebody closes the position, or its stop fires."""
    stage = Stage().protected()
    stage.next_hour().price("61000")
    moved: list[Intent] = []

    def fate(intent: Intent) -> str:
        if isinstance(intent, at) and not moved:
            moved.append(intent)
            if by_stop:
                stage.exchange.trigger(stage.exchange.resting(Leg.STOP)[0].client_id)
            else:
                stage.exchange.by_hand(Side.SELL, WHOLE)
        return "ok"

    stage.fate = fate
    stage.signal(rsi=50.0, atr=100.0)
    assert "restop STOP_MOVED" in stage.reasons
    return stage


def without_fills(snapshot: SymbolSnapshot) -> SymbolSnapshot:
    return replace(snapshot, fills=())


class TestGoneWhileItsStopMoves:
    @pytest.mark.parametrize("at", [PlaceStop, CancelAlgo])
    def test_by_hand_is_told_as_what_it_was(self, at: type[Intent]) -> None:
        """100 refusals, 23 seconds and four false anomalies it had been, and a wrong reason."""
        stage = gone_while_moving(at)
        before = len(stops(stage))
        stage.settle()
        assert len(stops(stage)) - before == 0, "nothing is placed where nothing is open"
        assert [trade.exit_reason for trade in stage.booked] == ["EXTERNAL_CLOSE"]
        assert stage.state is State.IDLE
        assert stage.record.quarantine is None
        assert stage.exchange.open_ids() == set()

    @pytest.mark.parametrize("at", [PlaceStop, CancelAlgo])
    def test_by_the_stop_that_was_to_be_moved(self, at: type[Intent]) -> None:
        stage = gone_while_moving(at, by_stop=True).settle()
        assert [trade.exit_reason for trade in stage.booked] == ["STOP_HIT"]
        assert stage.exchange.open_ids() == set()

    def test_takes_one_refusal_and_one_look(self) -> None:
        stage = gone_while_moving(CancelAlgo)
        refused = [reason for reason in stage.reasons if "-4509" in reason]
        assert len(refused) == 1
        assert stage.state is State.IDLE, "the fills were there to see"

    def test_without_its_fills_waits_for_a_look_that_lasts(self) -> None:
        """The exchange's own word for it, the stop that it refused, is the second source."""
        stage = Stage().protected()
        stage.view = without_fills
        stage.exchange.by_hand(Side.SELL, WHOLE)
        stage.exchange.algos.clear()
        stage.look()
        assert stage.state is State.PROTECTED
        stage.settle(6)
        assert stage.state is not State.PROTECTED
        assert 0 < len(stops(stage)) - 1 <= 2

    def test_without_its_fills_is_believed_where_the_exchange_ended_the_stop(self) -> None:
        stage = Stage().protected()
        before = len(stops(stage))
        stage.view = without_fills
        stage.exchange.by_hand(Side.SELL, WHOLE)
        stage.settle(6)
        assert stage.state is not State.PROTECTED
        assert len(stops(stage)) == before


class TestAPositionThatIsReadStale:
    def test_keeps_being_covered(self) -> None:
        """Looks show none for seconds while it is open: its stop goes on being tried, and the trade goes on."""
        stage = Stage()
        stage.view = with_position("0")
        codes = ["-4509"] * 3
        stage.fate = lambda intent: codes.pop() if isinstance(intent, PlaceStop) and codes else "ok"
        stage.signal()
        for _ in range(8):
            stage.wait(250).look()
        assert stage.exchange.covered() == stage.exchange.position != 0
        stage.view = truth
        stage.settle()
        assert (stage.state, stage.record.quarantine) == (State.PROTECTED, None)

    def test_is_tried_at_a_sane_pace(self) -> None:
        """R84 asks for one try in half a second; ladders of retries do not multiply."""
        stage = Stage()
        stage.fate = lambda intent: "-4509" if isinstance(intent, PlaceStop) else "ok"
        stage.signal()
        for _ in range(50):
            stage.wait(100).look()
        assert NAKED_TRIES <= len(stops(stage)) <= NAKED_TRIES + 2
        stage.deadline()
        assert stage.exchange.position == 0

    def test_is_no_end_of_its_close(self) -> None:
        """An emergency close whose position is read as gone: the stop is not swept on that word alone."""
        stage = Stage().protected()
        stage.fate = lambda intent: "-1008"
        stage.command("flatten")
        stage.view = with_position("0")
        for _ in range(6):
            stage.wait(3_000).look(persisted=True)
        assert stage.exchange.covered() == stage.exchange.position
        stage.view, stage.fate = truth, lambda intent: "ok"
        stage.settle()
        assert (stage.exchange.position, stage.state) == (0, State.HALT)


def test_a_close_that_came_too_late_does_not_name_the_trades_end() -> None:
    """The deadline wanted to close, but a hand had done it: the journal says who did."""
    stage = Stage().protected()
    stage.exchange.algos.clear()
    stage.fate = lambda intent: "-1008" if isinstance(intent, PlaceStop) else "ok"
    stage.look(persisted=True)
    stage.exchange.by_hand(Side.SELL, WHOLE)
    stage.deadline()
    stage.settle()
    assert [trade.exit_reason for trade in stage.booked] == ["EXTERNAL_CLOSE"]


def test_a_stop_that_the_venue_cancelled_beside_a_stale_position_is_placed_again() -> None:
    stage = Stage().protected()
    stage.view = with_position("0")
    stage.exchange.end_algo(stage.exchange.resting(Leg.STOP)[0].client_id, AlgoStatus.CANCELED)
    stage.look()
    assert stage.exchange.covered() == stage.exchange.position != 0
