"""The wishes of operator, limits and engine: what each does in each state, and which guard refuses it by name."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.types import OrderType
from fsm.core.commands import Rejected
from fsm.core.model.records import Flag, State
from tests.unit.fsm.core.parts import HOUR_MS, candle
from tests.unit.fsm.core.stage import Stage


def idle() -> Stage:
    return Stage()


def signalled() -> Stage:
    stage = Stage()
    stage.engine.close_candle(candle(at_ms=stage.now_ms))
    return stage


def entering() -> Stage:
    stage = Stage(entry_type=OrderType.LIMIT)
    stage.signal()
    return stage


def held() -> Stage:
    return Stage().protected()


def exiting() -> Stage:
    stage = held()
    stage.fate = lambda intent: "lost"
    stage.command("exit")
    return stage


def flattening() -> Stage:
    stage = held()
    stage.fate = lambda intent: "lost"
    stage.view = lambda snapshot: snapshot
    stage.command("flatten", "LIMIT_DAY")
    return stage


def halted() -> Stage:
    stage = Stage()
    stage.command("halt")
    return stage


STAGES = [idle, signalled, entering, held, exiting, flattening, halted]


class TestHalt:
    @pytest.mark.parametrize(
        ("begin", "state"),
        [
            (idle, State.HALT),
            (signalled, State.HALT),
            (held, State.PROTECTED),
            (exiting, State.EXITING),
        ],
    )
    def test_is_accepted_in_every_state_and_flat_ones_halt_at_once(self, begin: object, state: State) -> None:
        stage = begin()  # type: ignore[operator]
        stage.command("halt")
        assert (stage.state, stage.record.halt and stage.record.halt.cause) == (state, "OPERATOR")

    def test_keeps_a_position_managed_until_it_is_flat(self) -> None:
        """R34: blocking entries is one thing, closing another."""
        stage = held()
        stage.command("halt")
        assert stage.exchange.covered() == stage.exchange.position > 0
        stage.command("exit")
        stage.settle()
        assert stage.state is State.HALT

    def test_cancels_a_limit_entry_that_still_waits(self) -> None:
        """No entry after entries were forbidden."""
        stage = entering()
        stage.command("halt")
        assert (stage.state, stage.reasons[-1]) == (State.HALT, "abandon ENTRY_CANCELED")

    def test_twice_is_once(self) -> None:
        stage = halted()
        assert stage.command("halt") == []

    def test_survives_a_restart(self) -> None:
        """R50: the mode is in the journal."""
        stage = halted().restart()
        assert (stage.state, stage.record.halt) == (State.HALT, Flag("OPERATOR", stage.now_ms))

    @pytest.mark.parametrize(
        ("first", "second", "cause"),
        [
            ("LIMIT_DAY", "OPERATOR", "OPERATOR"),
            ("OPERATOR", "LIMIT_DAY", "OPERATOR"),
            ("LIMIT_DAY", "LIMIT_WEEK", "LIMIT_DAY"),
            ("PERMISSION", "OPERATOR", "PERMISSION"),
        ],
    )
    @pytest.mark.parametrize("command", ["halt", "flatten"])
    def test_keeps_its_first_cause_unless_that_would_end_by_itself(
        self, first: str, second: str, cause: str, command: str
    ) -> None:
        stage = idle()
        stage.command("halt", first)
        stage.command(command, second)
        assert stage.record.halt is not None
        assert stage.record.halt.cause == cause


class TestFlatten:
    @pytest.mark.parametrize("begin", STAGES)
    def test_halts_in_every_state_and_ends_flat_in_halt(self, begin: object) -> None:
        """semantics.md: flatten first sets the persisted halt, so it ends in HALT and nothing re-enters."""
        stage = begin()  # type: ignore[operator]
        stage.command("flatten")
        assert stage.record.halt is not None
        stage.fate = lambda intent: "ok"
        stage.settle()
        assert (stage.state, stage.exchange.position, stage.exchange.open_ids()) == (State.HALT, 0, set())

    def test_while_flattening_only_adds_the_halt(self) -> None:
        stage = flattening()
        pieces = stage.kinds().count("ClosePosition")
        stage.command("flatten")
        assert stage.kinds().count("ClosePosition") == pieces
        assert stage.record.halt is not None
        assert stage.record.halt.cause == "OPERATOR"

    def test_when_flat_and_halted_already_writes_nothing(self) -> None:
        assert halted().command("flatten") == []


class TestPause:
    @pytest.mark.parametrize("begin", STAGES)
    def test_blocks_entries_in_every_state_and_changes_no_state(self, begin: object) -> None:
        stage = begin()  # type: ignore[operator]
        before = stage.state
        stage.fate = lambda intent: "lost"
        stage.command("pause")
        assert (stage.record.paused, stage.state) == (True, before)
        assert stage.command("pause") == []

    def test_cancels_a_limit_entry_that_still_waits(self) -> None:
        stage = entering()
        stage.command("pause")
        assert (stage.state, stage.exchange.open_ids()) == (State.IDLE, set())

    def test_blocks_the_next_signal_until_resumed(self) -> None:
        stage = idle()
        stage.command("pause")
        assert stage.signal().reason == "PAUSED"
        stage.command("resume")
        assert stage.signal().outcome == "SIGNAL"


class TestResume:
    def test_clears_pause_halt_and_quarantine_and_says_what(self) -> None:
        stage = idle()
        for command in ("quarantine", "pause", "halt"):
            stage.command(command)
        stage.command("resume")
        record = stage.record
        assert (record.state, record.paused, record.halt, record.quarantine) == (State.IDLE, False, None, None)
        guards = stage.ledger.rows[-1][1].guards
        assert [(guard.name, guard.value) for guard in guards] == [
            ("CLEARS_HALT", "OPERATOR"),
            ("CLEARS_QUARANTINE", "OPERATOR"),
        ]

    @pytest.mark.parametrize("begin", [idle, held, exiting])
    def test_of_what_is_free_writes_nothing(self, begin: object) -> None:
        assert begin().command("resume") == []  # type: ignore[operator]

    def test_during_an_emergency_close_is_rejected_by_the_state(self) -> None:
        stage = flattening()
        with pytest.raises(Rejected, match="resumes when the emergency close is done") as caught:
            stage.command("resume")
        assert caught.value.guard == "STATE"

    def test_is_rejected_by_name_while_a_loss_limit_is_exceeded(self) -> None:
        """semantics.md: refused with the guard's name while the cause lasts."""
        stage = idle()
        stage.read_equity(wallet="9700")
        stage.command("halt", "LIMIT_DAY")
        with pytest.raises(Rejected, match="LIMIT_DAY is still exceeded") as caught:
            stage.command("resume")
        assert (caught.value.guard, stage.state) == ("LIMIT_DAY", State.HALT)
        assert not stage.engine.failures

    def test_by_a_limit_clears_only_the_halt_of_that_limit(self) -> None:
        stage = idle()
        stage.command("quarantine")
        stage.command("halt", "LIMIT_DAY")
        assert stage.command("resume", "LIMIT_WEEK") == []
        stage.command("resume", "LIMIT_DAY")
        assert (stage.state, stage.record.quarantine is not None) == (State.IDLE, True)

    def test_by_a_limit_leaves_an_operator_s_halt(self) -> None:
        """R36: what the operator stopped, no clock starts again."""
        stage = halted()
        assert stage.command("resume", "LIMIT_DAY") == []
        assert stage.state is State.HALT

    def test_by_a_limit_waits_for_an_emergency_close_without_a_complaint(self) -> None:
        stage = flattening()
        assert stage.command("resume", "LIMIT_DAY") == []
        stage.fate = lambda intent: "ok"
        stage.settle()
        stage.command("resume", "LIMIT_DAY")
        assert stage.state is State.IDLE

    def test_forgets_refusals_that_halted(self) -> None:
        stage = idle()
        stage.fate = lambda intent: "-2019" if type(intent).__name__ == "PlaceEntry" else "ok"
        while stage.state is not State.HALT:
            stage.wait(10 * HOUR_MS).next_hour()
            stage.signal()
        stage.command("resume")
        assert (stage.record.refusal, stage.state) == (None, State.IDLE)


class TestExit:
    @pytest.mark.parametrize("begin", [idle, halted, signalled, exiting, flattening])
    def test_where_nothing_can_be_ended_writes_nothing(self, begin: object) -> None:
        assert begin().command("exit") == []  # type: ignore[operator]

    def test_ends_an_entry_that_never_filled(self) -> None:
        stage = entering()
        stage.command("exit", "END_OF_DATA")
        stage.settle()
        assert (stage.state, stage.booked) == (State.IDLE, [])


class TestQuarantine:
    @pytest.mark.parametrize("begin", STAGES)
    def test_is_a_flag_beside_every_state(self, begin: object) -> None:
        stage = begin()  # type: ignore[operator]
        before = stage.state
        stage.command("quarantine", "UNRESOLVED_ORDER")
        assert stage.record.quarantine == Flag("UNRESOLVED_ORDER", stage.now_ms)
        assert stage.state is before
        assert stage.command("quarantine", "SOMETHING_ELSE") == []

    def test_survives_a_trade_and_a_restart(self) -> None:
        stage = held()
        stage.command("quarantine")
        stage.command("exit")
        stage.settle()
        stage.restart().read_equity()
        stage.next_hour()
        assert stage.signal().reason == "QUARANTINE OPERATOR"


def test_an_unknown_command_is_rejected_and_names_the_known_ones() -> None:
    stage = idle()
    with pytest.raises(
        Rejected, match="use pause, resume, flatten, release, exit, halt, quarantine, reduce, move-stop"
    ) as caught:
        stage.command("explode")
    assert caught.value.guard == "COMMAND"
    assert Decimal(len(stage.ledger.rows)) == 0
