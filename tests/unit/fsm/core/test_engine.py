"""All symbols together: what is in flight counts, no failure spreads, and every change is a row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.types import AlgoStatus, Confirmed, OrderStatus, OrderType
from fsm.core.decide import decide
from fsm.core.engine import FAILURES_KEPT, Engine
from fsm.core.model.decision import Decision, Step
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import CandleClosed, EquityRead, SetupEnded, SymbolEvent, SymbolObserved
from fsm.core.model.intents import Look, PlaceStop
from fsm.core.model.records import AccountRecord, Flag, State, SymbolRecord
from tests.unit.fsm.core.memory_ledger import MemoryLedger
from tests.unit.fsm.core.parts import SYMBOL, T0, candle, prices_at, setting_with
from tests.unit.fsm.core.stage import Stage, truth, without


class Fatal(Exception):
    """Nothing can be written any more."""


class Refusing(MemoryLedger):
    """A ledger whose disk fails at chosen rows."""

    def __init__(self, context: DecisionContext) -> None:
        super().__init__(lambda symbol, rules_hash: context)
        self.fails_at: list[str] = []

    def commit(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> Step:
        if decision.trigger in self.fails_at:
            raise Fatal("disk full")
        return super().commit(before, decision, event)


class Anywhere(MemoryLedger):
    """A ledger for several symbols: the check that rows follow each other is for one."""

    def _must_survive(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> None:
        return


def engine_of(*symbols: str, context: DecisionContext | None = None) -> tuple[Engine, Anywhere]:
    found = context or setting_with()
    ledger = Anywhere(lambda symbol, rules_hash: found)
    engine = Engine(
        ledger=ledger,
        setting_of=lambda symbol, rules_hash: found,
        policy=found.policy,
        records=[SymbolRecord(symbol=symbol) for symbol in symbols],
        account=AccountRecord(),
    )
    account = Stage().exchange.account()
    engine.read_equity(EquityRead(at_ms=T0, account=account, transfers=Decimal(0)))
    return engine, ledger


class TestManySymbols:
    def test_what_is_in_flight_counts_for_the_next_decision(self) -> None:
        """design §7.3: positions, risk and exposure also count what is only signalled."""
        engine, _ = engine_of("A", "B", "C", "D")
        outcomes = [engine.close_candle(candle(symbol=symbol))[0] for symbol in ("A", "B", "C", "D")]
        assert [verdict.outcome for verdict in outcomes] == ["SIGNAL", "SIGNAL", "SIGNAL", "BLOCKED"]
        assert outcomes[-1].reason == "MAX_OPEN_POSITIONS"
        portfolio = engine.portfolio()
        assert (portfolio.open_positions, engine.active()) == (3, ["A", "B", "C"])
        planned = Decimal("0.069")
        assert portfolio.exposure == planned * 3 * 60_000
        assert portfolio.available == Decimal(10_000) - planned * 3 * 60_000 / 2
        assert portfolio.open_risk == planned * 3 * Decimal("719.4")

    def test_what_was_considered_before_another_symbol_decided_is_read_again(self) -> None:
        """As at one close: the same decisions as when each candle is read when its turn comes."""
        engine, _ = engine_of("A", "B", "C", "D")
        events = [candle(symbol=symbol) for symbol in ("A", "B", "C", "D")]
        precomputed = [engine.precompute(event) for event in events]
        assert {each.verdict.outcome for each in precomputed if each} == {"SIGNAL"}
        outcomes = [
            engine.close_candle(event, precomputed=each)[0].outcome
            for event, each in zip(events, precomputed, strict=True)
        ]
        assert outcomes == ["SIGNAL", "SIGNAL", "SIGNAL", "BLOCKED"]

    def test_what_was_considered_stands_while_nothing_changes(self) -> None:
        engine, _ = engine_of("A", "B")
        event = candle(symbol="A", rsi=50)
        precomputed = engine.precompute(event)
        assert precomputed is not None
        assert engine.close_candle(event, precomputed=precomputed)[0] is precomputed.verdict
        assert engine.close_candle(event, equity_age_ms=1, precomputed=precomputed)[0] is not precomputed.verdict
        assert engine.close_candle(candle(symbol="A", rsi=50), precomputed=precomputed)[0] is not precomputed.verdict

    def test_what_cannot_be_considered_is_handled_when_it_is_decided(self) -> None:
        """R53."""
        engine, _ = engine_of("A")
        broken = replace(candle(symbol="A"), facts={"rsi_1h": "eighty"})  # type: ignore[dict-item]
        assert engine.precompute(broken) is None
        assert engine.record("A").quarantine is None
        assert engine.close_candle(broken, precomputed=None)[0].reason == "EXCEPTION"
        assert engine.record("A").quarantine is not None

    def test_open_risk_of_all_never_exceeds_its_limit(self) -> None:
        engine, _ = engine_of(*"ABCDEF", context=setting_with(max_open_positions=6, max_open_risk_pct=Decimal(1)))
        outcomes = [engine.close_candle(candle(symbol=symbol))[0].outcome for symbol in "ABCDEF"]
        assert outcomes == ["SIGNAL", "SIGNAL", "BLOCKED", "BLOCKED", "BLOCKED", "BLOCKED"]
        assert engine.portfolio().open_risk <= 100

    @pytest.mark.parametrize(("correlation", "allowed"), [("1", 2), ("0.7", 2), ("0.4", 3), ("0", 4), ("-0.5", 4)])
    def test_what_moves_together_adds_up_under_its_own_cap(self, correlation: str, allowed: int) -> None:
        """Each risks 49.6 USDT. At 0.7 three of them risk 3 x 49.6 x sqrt(2.4 / 3) = 133: above a cap of 1.2 %."""
        engine, _ = engine_of(
            *"ABCD", context=setting_with(max_open_positions=4, max_correlated_risk_pct=Decimal("1.2"))
        )
        engine.correlation = lambda one, other: Decimal(correlation)
        verdicts = [engine.close_candle(candle(symbol=symbol))[0] for symbol in "ABCD"]
        assert [verdict.outcome for verdict in verdicts] == ["SIGNAL"] * allowed + ["BLOCKED"] * (4 - allowed)
        assert {verdict.reason for verdict in verdicts[allowed:]} <= {"MAX_CORRELATED_RISK"}
        assert engine.portfolio().correlated_risk <= 120

    def test_the_risk_of_one_direction_has_a_cap_of_its_own(self) -> None:
        engine, _ = engine_of(
            *"ABCD", context=setting_with(max_open_positions=4, max_same_direction_risk_pct=Decimal(1))
        )
        outcomes = [
            engine.close_candle(candle(symbol=symbol, rsi=rsi))[0].reason
            for symbol, rsi in (("A", 80), ("B", 80), ("C", 80), ("D", 20))
        ]
        assert outcomes == ["swing LONG", "swing LONG", "MAX_SAME_DIRECTION_RISK", "swing SHORT"]
        portfolio = engine.portfolio()
        assert 0 < portfolio.risk_short < portfolio.risk_long <= 100
        assert portfolio.risk_long + portfolio.risk_short == portfolio.open_risk

    def test_a_dropped_signal_gives_its_room_back(self) -> None:
        engine, _ = engine_of("A")
        engine.close_candle(candle(symbol="A"))
        engine.handle(SetupEnded(symbol="A", at_ms=T0, outcome=Confirmed(), prices=prices_at("70000")))
        assert (engine.portfolio().open_positions, engine.portfolio().open_risk) == (0, 0)

    def test_one_that_fails_stops_alone(self) -> None:
        """R53."""
        engine, ledger = engine_of("A", "B")
        broken = replace(candle(symbol="A"), facts={"rsi_1h": "eighty"})  # type: ignore[dict-item]
        verdict, _, steps = engine.close_candle(broken)
        assert (verdict.outcome, verdict.reason) == ("BLOCKED", "EXCEPTION")
        assert [step.trigger for step in steps] == ["quarantine"]
        assert engine.record("A").quarantine == Flag("EXCEPTION TypeError", T0)
        assert engine.close_candle(candle(symbol="B"))[0].outcome == "SIGNAL"
        assert engine.failures[0].symbol == "A"
        assert len(ledger.rows) == 2


class TestTheStopThatIsMoved:
    def test_a_stop_beyond_the_entry_ties_up_no_risk(self) -> None:
        stage = Stage().protected()
        assert stage.engine.portfolio().open_risk > 0
        stage.next_hour().wait(3_600_000).price("62000")
        stage.close(candle(at_ms=stage.now_ms, rsi=50, close=62_000.0))
        assert stage.engine.portfolio().open_risk == 0

    def test_a_partly_filled_entry_ties_up_its_whole_quantity(self) -> None:
        stage = Stage(entry_type=OrderType.LIMIT)
        stage.signal()
        whole = stage.engine.portfolio().open_risk
        stage.price("59970").exchange.fill(stage.trade.entry.client_id, Decimal("0.01"))
        stage.look()
        assert stage.engine.portfolio().open_risk == whole


class TestAFailure:
    def test_while_a_stop_rests_quarantines_and_leaves_it_resting(self) -> None:
        """design §7.8: protected and stopped."""
        stage = Stage().protected()
        stage.tell(replace(stage.observe(), snapshot=replace(stage.observe().snapshot, algo_orders=None)))  # type: ignore[arg-type]
        assert stage.record.quarantine is not None
        assert stage.state is State.PROTECTED
        assert stage.exchange.covered() == stage.exchange.position

    def test_before_a_stop_rests_closes_what_is_open(self) -> None:
        """A handler that fails between the fill and its stop must not leave a naked position behind."""
        stage = Stage()
        stage.fate = lambda intent: "lost" if isinstance(intent, PlaceStop) else "ok"
        stage.signal()
        assert stage.trade.uncovered_ms is not None
        malformed = replace(stage.observe().snapshot, orders=None)  # type: ignore[arg-type]
        stage.tell(SymbolObserved(symbol=SYMBOL, at_ms=stage.now_ms, snapshot=malformed))
        assert stage.reasons[-1] in ("flatten EXCEPTION", "flat EXCEPTION")
        _, emergency, _ = next(row for row in stage.ledger.rows if row[1].trigger == "flatten")
        assert [type(intent).__name__ for intent in emergency.intents][-2:] == ["PlaceStop", "Look"]
        stage.settle()
        assert (stage.exchange.position, stage.record.quarantine is not None) == (0, True)

    def test_while_a_partly_filled_entry_is_covered_closes_nothing(self) -> None:
        stage = Stage(entry_type=OrderType.LIMIT)
        stage.signal()
        stage.price("59970").exchange.fill(stage.trade.entry.client_id, Decimal("0.02"))
        stage.look()
        malformed = replace(stage.observe().snapshot, orders=None)  # type: ignore[arg-type]
        stage.tell(SymbolObserved(symbol=SYMBOL, at_ms=stage.now_ms, snapshot=malformed))
        assert (stage.state, stage.reasons[-1]) == (State.ENTERING, "quarantine EXCEPTION")

    def test_while_an_entry_of_unknown_fate_is_out_closes_what_it_may_have_opened(self) -> None:
        stage = Stage(entry_type=OrderType.LIMIT)
        stage.signal()
        malformed = replace(stage.observe().snapshot, orders=None)  # type: ignore[arg-type]
        stage.tell(SymbolObserved(symbol=SYMBOL, at_ms=stage.now_ms, snapshot=malformed))
        assert "flatten EXCEPTION" in stage.reasons
        stage.settle()
        assert (stage.exchange.open_ids(), stage.record.quarantine is not None) == (set(), True)

    def test_while_a_missing_stop_is_being_placed_again_closes_the_position(self) -> None:
        stage = Stage().protected()
        stage.view = without("f0123abcd-19aa16-1-S1.1")
        stage.look()
        malformed = replace(stage.observe().snapshot, orders=None)  # type: ignore[arg-type]
        stage.view = truth
        stage.tell(SymbolObserved(symbol=SYMBOL, at_ms=stage.now_ms, snapshot=malformed))
        assert "flatten EXCEPTION" in stage.reasons

    def test_of_the_emergency_close_itself_still_leaves_the_symbol_quarantined(self) -> None:
        """R53: the rules a trade was opened under are gone, so nothing can be decided; the others go on."""
        stage = Stage()
        stage.fate = lambda intent: "lost" if isinstance(intent, PlaceStop) else "ok"
        stage.signal()
        event = stage.observe()

        def gone(symbol: str, rules_hash: str | None) -> DecisionContext:
            raise KeyError(rules_hash)

        stage.engine._setting_of = gone
        steps = stage.engine.handle(event)
        assert [step.trigger for step in steps] == ["quarantine"]
        assert [failure.event for failure in stage.engine.failures] == ["SymbolObserved", "begin_flatten"]
        assert stage.engine.handle(event) == []  # said once

    def test_after_rows_of_the_same_look_leaves_them_standing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was written is carried out, whatever the look leads to next."""
        stage = Stage(entry_type=OrderType.LIMIT)
        stage.signal()
        stage.exchange.end(stage.trade.entry.client_id, OrderStatus.EXPIRED)

        def failing(record: SymbolRecord, *given: Any) -> Decision | None:
            if record.state is State.IDLE:
                raise RuntimeError("the second row")
            return decide(record, *given)

        monkeypatch.setattr("fsm.core.engine.decide", failing)
        steps = stage.engine.handle(stage.observe())
        assert [(step.trigger.value, step.reason) for step in steps] == [
            ("abandon", "ENTRY_EXPIRED"),
            ("quarantine", "EXCEPTION"),
        ]

    def test_of_the_ledger_during_a_look_is_never_swallowed(self) -> None:
        stage = Stage().protected()
        stage.engine._fatal = (Fatal,)
        stage.exchange.end_algo("f0123abcd-19aa16-1-S1.1", AlgoStatus.CANCELED)
        event, before = stage.observe(), stage.record
        stage.ledger.broken = Fatal("disk full")
        with pytest.raises(Fatal):
            stage.engine.handle(event)
        assert (stage.record, list(stage.engine.failures)) == (before, [])

    def test_of_the_ledger_during_an_emergency_close_is_never_swallowed(self) -> None:
        stage = Stage()
        stage.fate = lambda intent: "lost" if isinstance(intent, PlaceStop) else "ok"
        stage.signal()
        stage.engine._fatal = (Fatal,)
        malformed = replace(stage.observe().snapshot, orders=None)  # type: ignore[arg-type]
        stage.ledger.broken = Fatal("disk full")
        with pytest.raises(Fatal):
            stage.engine.handle(SymbolObserved(symbol=SYMBOL, at_ms=stage.now_ms, snapshot=malformed))

    def test_is_remembered_a_bounded_number_of_times(self) -> None:
        engine, _ = engine_of("A")
        for _ in range(FAILURES_KEPT + 50):
            engine.close_candle(replace(candle(symbol="A"), prices=None))  # type: ignore[arg-type]
        assert len(engine.failures) <= FAILURES_KEPT

    def test_of_the_ledger_is_never_swallowed_and_nothing_has_happened(self) -> None:
        """R19: no durable row, no order."""
        context = setting_with()
        ledger = Refusing(context)
        engine = Engine(
            ledger=ledger,
            setting_of=lambda symbol, rules_hash: context,
            policy=context.policy,
            records=[SymbolRecord(symbol=SYMBOL)],
            account=AccountRecord(),
            fatal=(Fatal,),
        )
        engine.read_equity(EquityRead(at_ms=T0, account=Stage().exchange.account(), transfers=Decimal(0)))
        ledger.fails_at = ["signal"]
        with pytest.raises(Fatal):
            engine.close_candle(candle())
        assert (engine.record(SYMBOL).state, engine.active(), ledger.rows) == (State.IDLE, [], [])
        ledger.fails_at = []
        assert engine.close_candle(candle())[0].outcome == "SIGNAL"

    def test_of_the_ledger_at_the_account_leaves_the_account_as_it_was(self) -> None:
        stage = Stage()
        before = stage.engine.account
        stage.ledger.broken = Fatal("disk full")
        with pytest.raises(Fatal):
            stage.read_equity(wallet="9700")
        assert stage.engine.account == before


class TestALook:
    def test_is_judged_again_until_it_asks_for_something(self) -> None:
        """One look may tell several things; what needs no answer needs no second look."""
        stage = Stage().protected()
        stage.exchange.end_algo("f0123abcd-19aa16-1-S1.1", AlgoStatus.CANCELED)
        foreign = replace(stage.exchange.algos["f0123abcd-19aa16-1-T1.1"], client_id="web-1")
        stage.exchange.algos["web-1"] = foreign
        steps = stage.engine.handle(stage.observe())
        assert [step.reason for step in steps] == ["FOREIGN_ORDER", "VENUE_CANCELLED"]

    def test_that_asks_for_something_is_not_judged_further(self) -> None:
        stage = Stage().protected()
        stage.exchange.end_algo("f0123abcd-19aa16-1-S1.1", AlgoStatus.CANCELED)
        steps = stage.engine.handle(stage.observe())
        assert [type(intent) for _, intent in steps[0].intents] == [PlaceStop, Look]
        assert len(steps) == 1


class TestTheFacts:
    def test_of_a_signal_hold_the_portfolio_that_was_read(self) -> None:
        """semantics.md: facts hold everything the decision read."""
        stage = Stage()
        stage.close(candle(at_ms=stage.now_ms), equity_age_ms=1_234)
        facts = stage.ledger.rows[0][1].facts["portfolio"]
        assert (facts["equity"], facts["equity_age_ms"], facts["open_positions"]) == ("10000", 1_234, 0)

    def test_of_stale_equity_block_the_entry(self) -> None:
        """R38: stale blocks at once."""
        stage = Stage()
        verdict = stage.close(candle(at_ms=stage.now_ms), equity_age_ms=60_001)
        assert (verdict.outcome, verdict.reason) == ("BLOCKED", "EQUITY_FRESH")


class TestACandle:
    def test_told_twice_enters_once(self) -> None:
        stage = Stage()
        event = candle(at_ms=stage.now_ms)
        stage.close(event)
        stage.command("exit")
        stage.settle()
        verdict = stage.close(replace(event, at_ms=stage.now_ms, prices=stage.exchange.prices()))
        assert (verdict.outcome, verdict.reason) == ("BLOCKED", "CANDLE_NEW")

    @pytest.mark.parametrize("state", ["entering", "exiting"])
    def test_during_a_trade_opens_no_second(self, state: str) -> None:
        stage = Stage(entry_type=OrderType.LIMIT if state == "entering" else OrderType.MARKET)
        stage.signal()
        if state == "exiting":
            stage.fate = lambda intent: "lost"
            stage.command("exit")
        stage.next_hour()
        verdict = stage.close(candle(at_ms=stage.now_ms))
        assert (verdict.outcome, verdict.decision) == ("IN_TRADE", None)

    def test_of_an_adopted_trade_without_a_plan_only_holds(self) -> None:
        stage = Stage().protected()
        record = replace(stage.record, trade=replace(stage.trade, adopted=True, strategy="adopted"))
        engine = Engine(
            ledger=stage.ledger,
            setting_of=lambda symbol, rules_hash: stage.context,
            policy=stage.context.policy,
            records=[record],
            account=AccountRecord(),
        )
        event: CandleClosed = candle(at_ms=stage.now_ms, rsi=5)
        assert engine.close_candle(event)[0].reason == "HOLDING"


def test_a_trade_is_decided_under_the_rules_it_was_opened_with() -> None:
    """R49."""
    asked: list[str | None] = []
    context = setting_with()

    def setting_of(symbol: str, rules_hash: str | None) -> DecisionContext:
        asked.append(rules_hash)
        return context

    stage = Stage(context=context).protected()
    engine = Engine(
        ledger=stage.ledger,
        setting_of=setting_of,
        policy=context.policy,
        records=[stage.record],
        account=AccountRecord(),
    )
    engine.handle(stage.observe())
    assert asked == [context.rules_hash]
