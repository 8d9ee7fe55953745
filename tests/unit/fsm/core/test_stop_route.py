"""R60: after a position that got no stop, no entry of the account before it is proved again that one can be placed."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from exchange.types import OrderType
from fsm.core.model.intents import Intent, PlaceEntry, PlaceStop
from fsm.core.model.records import AccountRecord, Flag, HaltCause, State
from fsm.core.stop_route import doubted, smallest
from tests.unit.fsm.core.parts import FILTERS
from tests.unit.fsm.core.stage import Stage

FULL = Decimal("0.069")


def no_stops(intent: Intent) -> str:
    return "-1008" if isinstance(intent, PlaceStop) else "ok"


def doubting() -> Stage:
    """The stop of the first trade was refused until its deadline; the position is closed."""
    stage = Stage()
    stage.fate = no_stops
    stage.signal()
    stage.deadline()
    stage.settle()
    assert stage.state is State.IDLE
    return stage.next_hour().price("60000")


def entries(stage: Stage) -> list[Decimal]:
    return [intent.request.quantity for intent in stage.sent if isinstance(intent, PlaceEntry)]


class TestAfterOneDeadline:
    def test_nothing_is_entered_before_the_route_is_proved(self) -> None:
        """Five positions in twelve hours had been opened, left naked and closed."""
        stage = doubting()
        assert stage.signal().reason == "PROTECTION_UNPROVED"
        assert entries(stage) == [FULL]

    def test_it_is_written_down_with_its_reason(self) -> None:
        stage = doubting()
        kinds, account = next(row for row in stage.ledger.account_rows if "ROUTE_DOUBTED" in row[0])
        assert account.route is not None
        assert (account.route.symbol, account.route.reason) == ("BTCUSDT", "PROTECTION_DEADLINE")
        assert kinds == ("ROUTE_DOUBTED",)

    def test_before_the_position_is_closed_so_that_no_death_forgets_it(self) -> None:
        stage = Stage()
        stage.fate = no_stops
        stage.signal()
        stage.ledger.watch = lambda decision: pytest.fail("no row before") if not stage.engine.account.route else None
        stage.deadline()

    def test_it_survives_a_restart(self) -> None:
        stage = doubting()
        stage.restart().read_equity()
        assert stage.signal().reason == "PROTECTION_UNPROVED"

    @pytest.mark.parametrize("code", ["-4045", "-2010"])
    def test_a_stop_that_was_refused_for_good_is_the_same(self, code: str) -> None:
        stage = Stage()
        stage.fate = lambda intent: code if isinstance(intent, PlaceStop) else "ok"
        stage.signal()
        assert stage.engine.account.route is not None

    def test_a_market_beyond_the_stop_is_no_fault_of_the_route(self) -> None:
        stage = Stage()
        stage.fate = lambda intent: "-2021" if isinstance(intent, PlaceStop) else "ok"
        stage.signal()
        assert "flatten STOP_WOULD_TRIGGER" in stage.reasons
        assert stage.engine.account.route is None


class TestOnceItIsProved:
    def test_entries_are_as_before_and_the_next_confirmed_stop_ends_the_doubt(self) -> None:
        stage = doubting()
        stage.engine.prove_route(stage.now_ms, "PROVED")
        stage.fate = lambda intent: "ok"
        assert stage.signal().outcome == "SIGNAL"
        assert entries(stage)[-1] > FULL / 2
        assert (stage.state, stage.engine.account.route) == (State.PROTECTED, None)

    def test_as_far_as_can_be_while_flat_one_entry_of_the_smallest_size_tells(self) -> None:
        """-4509 and -2022: the route works, placement is proved at the first fill."""
        stage = doubting()
        stage.engine.prove_route(stage.now_ms, "ROUTE_WORKS")
        stage.fate = lambda intent: "ok"
        verdict = stage.signal()
        assert verdict.outcome == "SIGNAL"
        least = FILTERS.notional_min * 2 / Decimal(60_000)  # it has two targets, each of which must be tradable
        assert least <= entries(stage)[-1] <= least * Decimal("2.5")
        assert (stage.state, stage.engine.account.route) == (State.PROTECTED, None)

    def test_all_others_wait_for_that_one(self) -> None:
        stage = doubting()
        stage.engine.prove_route(stage.now_ms, "ROUTE_WORKS")
        stage.fate = lambda intent: "lost" if isinstance(intent, PlaceStop) else "ok"
        stage.signal()
        assert stage.engine.portfolio("ETHUSDT").blocked == "PROTECTION_TRIAL"
        assert stage.engine.portfolio("BTCUSDT").blocked == ""


class TestASecondTime:
    def second(self) -> Stage:
        stage = doubting()
        stage.engine.prove_route(stage.now_ms, "PROVED")
        stage.signal()
        stage.wait(5_000).deadline()
        return stage.settle()

    def test_halts_the_account_until_the_operator_resumes(self) -> None:
        stage = self.second()
        halt = stage.engine.account.halt
        assert halt is not None
        assert halt.cause == HaltCause.PROTECTION
        stage.next_hour().price("60000")
        assert stage.signal().reason == "PROTECTION"
        stage.engine.set_account(stage.now_ms, "RESUMED", paused=False, halt=None)
        assert stage.signal().reason == "PROTECTION_UNPROVED", "and then it is proved again"

    def test_takes_the_place_of_a_limit_that_would_end_by_itself(self) -> None:
        stage = doubting()
        stage.engine.prove_route(stage.now_ms, "PROVED")
        stage.signal()
        limit = Flag(HaltCause.LIMIT_DAY.value, stage.now_ms)
        stage.engine.set_account(stage.now_ms, "LIMIT", paused=False, halt=limit)
        stage.wait(5_000).deadline()
        assert stage.engine.account.halt is not None
        assert stage.engine.account.halt.cause == HaltCause.PROTECTION

    def test_is_not_a_position_that_was_waiting_in_the_same_incident(self) -> None:
        """Five symbols enter at one close: one outage of the route is one incident, not five."""
        stage = Stage()
        stage.fate = no_stops
        stage.signal()
        waiting = stage.record
        stage.deadline()
        account, kind = doubted(stage.engine.account, waiting, "PROTECTION_DEADLINE", stage.now_ms + 100)
        assert (account.halt, kind) == (None, "")


def test_an_older_account_has_no_doubt() -> None:
    assert msgspec.json.decode(b"{}", type=AccountRecord).route is None


def test_the_smallest_size_leaves_every_target_tradable() -> None:
    prices = (Decimal(60_000), Decimal(59_000), Decimal(61_000))
    quantity = smallest(prices, (Decimal("0.25"),), FILTERS)
    assert quantity * Decimal("0.25") * Decimal(59_000) >= FILTERS.notional_min
    assert quantity % FILTERS.step_size == 0


def test_a_limit_entry_that_waits_is_taken_back() -> None:
    stage = Stage(entry_type=OrderType.LIMIT)
    stage.signal()
    stage.command("withdraw", "PROTECTION_UNPROVED")
    assert "sweep PROTECTION_UNPROVED" in stage.reasons
    assert (stage.state, stage.exchange.open_ids()) == (State.IDLE, set())
    assert stage.command("withdraw", "PROTECTION_UNPROVED") == []
