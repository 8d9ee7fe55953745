"""Rows as the engine makes them, for the store's tests: whole round trips, encoded from the engine's own records."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec
import pytest
from msgspec.structs import replace

from exchange.types import (
    AlgoRequest,
    MarginType,
    OrderRequest,
    WorkingType,
)
from fsm.core.model import intents
from fsm.core.model.records import (
    AccountRecord,
    EntryLeg,
    Flag,
    Period,
    State,
    StopLeg,
    SymbolRecord,
    TargetLeg,
    Trade,
    TradeSide,
)
from store.batch import Batch
from store.database import Store, open_store
from store.journal import Journal
from store.rows import (
    AlertRow,
    AnchorRow,
    CandleRow,
    ConfigVersionRow,
    DecisionRow,
    DocumentRow,
    EquityRow,
    ErrorRow,
    FillRow,
    IntentOutcome,
    OrderUpdate,
    PositionMark,
    RegimeRow,
    RuleVersionRow,
    SystemEventRow,
    TransitionRow,
)

HOUR = 3_600_000
START = 1_767_225_600_000  # 2026-01-01 00:00 UTC
RULES, CONFIG = "a" * 64, "b" * 64


def to_json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


Made = TypeVar("Made", bound=msgspec.Struct)


def made(kind: type[Made], **fields: Any) -> Made:
    """A struct from plain values, amounts as text."""
    return msgspec.convert(fields, kind)


class Story:
    """Makes what an engine would write. Everything follows from its arguments: no clock, no chance."""

    def __init__(self) -> None:
        self.start = START
        self.hour = HOUR

    def transition(
        self,
        record: SymbolRecord,
        trigger: str,
        source: str,
        at_ms: int,
        *wanted: intents.Intent,
        trade: Trade | None = None,
    ) -> TransitionRow:
        """A journal row; ``trade`` is the one that it ended."""
        held = record.trade or trade
        effect: dict[str, Any] = {"record": record, "intents": wanted}
        return TransitionRow(
            at_ms=at_ms,
            symbol=record.symbol,
            trade_id=held.id if held else None,
            trigger=trigger,
            source=source,
            dest=record.state,
            reason=f"{trigger.upper()}_REASON",
            facts_json=to_json({"adx_4h": 27.31250001, "close_1h[1]": 42_001.5, "rsi_1h": None}),
            guards_json=to_json([{"name": "stop_valid", "passed": True}]),
            event_json=to_json({"type": "CandleClosed", "candle_ms": at_ms - HOUR}),
            rules_hash=RULES,
            config_hash=CONFIG,
            effect_json=to_json(effect if trade is None else {**effect, "trade": trade}),
        )

    def plan(self, symbol: str, number: int, at_ms: int) -> Trade:
        """A trade as it is when it is signalled."""
        name = f"f0-{symbol}-{number}"
        return Trade(
            id=f"{symbol}-{number}",
            number=number,
            symbol=symbol,
            side=TradeSide.LONG if number % 2 else TradeSide.SHORT,
            strategy="trend_pullback",
            regime="TREND",
            rules_hash=RULES,
            config_hash=CONFIG,
            signal_candle_ms=at_ms - HOUR,
            opened_ms=at_ms,
            quantity=Decimal("0.120"),
            entry_price_planned=Decimal("42000.10"),
            stop_price_initial=Decimal("41000.10"),
            risk_usdt=Decimal("120.5"),
            entry=made(
                EntryLeg, client_id=f"{name}-E1.1", type="MARKET", quantity="0.120", price=None, expires_ms=None
            ),
            targets=(
                made(TargetLeg, client_id=f"{name}-T1.1", index=1, trigger_price="44000", portion="1", quantity=None),
            ),
        )

    def signalled(self, symbol: str, number: int, at_ms: int) -> TransitionRow:
        trade = self.plan(symbol, number, at_ms)
        record = SymbolRecord(symbol=symbol, state=State.SIGNALLED, trade=trade, trades_opened=number)
        setup = intents.EnsureSetup(symbol=symbol, margin_type=MarginType.ISOLATED, leverage=2)
        return self.transition(record, "signal", "IDLE", at_ms, setup)

    def dropped(self, symbol: str, number: int, at_ms: int) -> TransitionRow:
        trade = replace(self.plan(symbol, number, at_ms), exit_reason="CANDLE_TOO_OLD", closed_ms=at_ms)
        record = SymbolRecord(symbol=symbol, trades_opened=number)
        return self.transition(record, "drop", "SIGNALLED", at_ms, trade=trade)

    def filled_trade(self, symbol: str, number: int, at_ms: int) -> Trade:
        """The trade after its first fill, its stop placed."""
        return replace(
            self.plan(symbol, number, at_ms),
            stop=StopLeg(
                client_id=f"f0-{symbol}-{number}-S1.1",
                trigger_price=Decimal("41000.10"),
                working_type=WorkingType.MARK_PRICE,
            ),
            first_fill_ms=at_ms + 1_000,
            open_quantity=Decimal("0.120"),
            entry_price=Decimal("42001.00"),
            fees=Decimal("2.52006"),
        )

    def closed_trade(self, symbol: str, number: int, at_ms: int, net: str) -> Trade:
        """The trade as it is booked."""
        return replace(
            self.filled_trade(symbol, number, at_ms),
            protected_ms=at_ms + 1_500,
            open_quantity=Decimal(0),
            closed_quantity=Decimal("0.120"),
            exit_price=Decimal("43000.00"),
            realized_pnl=Decimal(net) + Decimal("5.1"),
            fees=Decimal("5.0"),
            funding=Decimal("-0.1"),
            net_pnl=Decimal(net),
            r=Decimal(net) / Decimal("120.5"),
            exit_reason="TARGET",
            closed_ms=at_ms + 5 * HOUR,
        )

    def round_trip(self, symbol: str, number: int, at_ms: int, *, net: str = "114.9") -> list[TransitionRow]:
        """Six transitions: signal, enter, fill, protect, exit, flat."""
        plan, filled = self.plan(symbol, number, at_ms), self.filled_trade(symbol, number, at_ms)
        protected, end_ms = replace(filled, protected_ms=at_ms + 1_500), at_ms + 5 * HOUR
        name, sides = f"f0-{symbol}-{number}", (plan.side.entry_side, plan.side.exit_side)
        order = {"symbol": symbol, "type": "MARKET", "quantity": "0.120"}
        entry = made(OrderRequest, **order, side=sides[0], client_id=f"{name}-E1.1")
        close = made(OrderRequest, **order, side=sides[1], client_id=f"{name}-X1.1", reduce_only=True)
        algo = {"symbol": symbol, "side": sides[1], "working_type": "MARK_PRICE", "close_position": True}
        stop = made(AlgoRequest, **algo, type="STOP_MARKET", client_id=f"{name}-S1.1", trigger_price="41000.10")
        target = made(AlgoRequest, **algo, type="TAKE_PROFIT_MARKET", client_id=f"{name}-T1.1", trigger_price="44000")
        entering, placing, holding, exiting, idle = (
            SymbolRecord(symbol=symbol, state=state, trade=trade, trades_opened=number)
            for state, trade in (
                (State.ENTERING, plan),
                (State.ENTERING, filled),
                (State.PROTECTED, protected),
                (State.EXITING, protected),
                (State.IDLE, None),
            )
        )
        place_entry = intents.PlaceEntry(symbol=symbol, request=entry)
        place_stop = intents.PlaceStop(symbol=symbol, request=stop)
        place_target = intents.PlaceTarget(symbol=symbol, index=1, request=target)
        cancel = intents.CancelAlgo(symbol=symbol, client_id=stop.client_id)
        leave = intents.ClosePosition(symbol=symbol, request=close)
        booked = self.closed_trade(symbol, number, at_ms, net)
        return [
            self.signalled(symbol, number, at_ms),
            self.transition(entering, "enter", "SIGNALLED", at_ms + 500, place_entry),
            self.transition(placing, "fill", "ENTERING", at_ms + 1_000, place_stop, place_target),
            self.transition(holding, "protect", "ENTERING", at_ms + 1_500),
            self.transition(exiting, "exit", "PROTECTED", end_ms - 1_000, cancel, leave),
            self.transition(idle, "flat", "EXITING", end_ms, trade=booked),
        ]

    def decision(self, symbol: str, candle_ms: int, outcome: str = "NO_SETUP", reason: str = "RSI_HIGH") -> DecisionRow:
        return DecisionRow(
            at_ms=candle_ms + HOUR,
            symbol=symbol,
            candle_ms=candle_ms,
            outcome=outcome,
            reason=reason,
            regime="TREND",
            confidence=0.8125,
            facts_json=to_json({"rsi_1h": 61.25 + candle_ms % 7}),
            traces_json=to_json([{"id": "rsi_low", "left": 61.25, "right": 60.0}]),
            rules_hash=RULES,
            config_hash=CONFIG,
        )

    def regime(self, symbol: str, at_ms: int, regime: str = "TREND", previous: str | None = "RANGE") -> RegimeRow:
        return RegimeRow(
            at_ms=at_ms,
            symbol=symbol,
            candle_ms=at_ms - HOUR,
            regime=regime,
            previous=previous,
            confidence=0.75,
            features_json=to_json({"adx_4h": 27.5}),
            counters_json=to_json({"confirmations": 3}),
            rules_hash=RULES,
        )

    def fill(self, symbol: str, fill_id: int, at_ms: int, trade_id: str | None = None) -> FillRow:
        return FillRow(
            at_ms=at_ms,
            symbol=symbol,
            fill_id=fill_id,
            order_id=9_000_000_000 + fill_id,
            client_order_id=f"f0-{symbol}-1-E1.1",
            trade_id=trade_id,
            side="BUY",
            price=Decimal("42001.00"),
            quantity=Decimal("0.060"),
            realized_pnl=Decimal(0),
            commission=Decimal("1.26003"),
            commission_asset="USDT",
            maker=False,
        )

    def equity(self, at_ms: int, equity: str = "10114.90") -> EquityRow:
        return EquityRow(
            at_ms=at_ms,
            balance=Decimal("10000.00"),
            equity=Decimal(equity),
            unrealized_pnl=Decimal(equity) - 10_000,
            available_balance=Decimal("9000.5"),
        )

    def account_event(self, at_ms: int, *, halt: str | None = None, high: str = "10000") -> SystemEventRow:
        day = Period(key="2026-01-01", start_equity=Decimal("10000"))
        flag = Flag(halt, at_ms) if halt else None
        record = AccountRecord(day=day, equity_high=Decimal(high), halt=flag)
        facts = to_json({"account": record})
        return SystemEventRow(at_ms=at_ms, kind="ACCOUNT", reason=halt or "NEW_DAY", facts_json=facts, rules_hash=RULES)

    def event(self, at_ms: int, kind: str = "START") -> SystemEventRow:
        return SystemEventRow(at_ms=at_ms, kind=kind, reason="", facts_json=to_json({"pid": 1}), config_hash=CONFIG)

    def error(self, at_ms: int) -> ErrorRow:
        return ErrorRow(at_ms=at_ms, component="executor", symbol="BTCUSDT", error="-1007: Timeout", details_json="{}")

    def alert(self, at_ms: int, key: str = "k1") -> AlertRow:
        return AlertRow(
            at_ms=at_ms,
            kind="TRADE_OPENED",
            severity="info",
            symbol="BTCUSDT",
            text="LONG 0.120 BTCUSDT",
            dedupe_key=key,
            due_ms=at_ms,
        )

    def candle(self, symbol: str, open_time_ms: int, close: float = 42_000.1) -> CandleRow:
        return CandleRow(
            symbol=symbol,
            timeframe="1h",
            open_time_ms=open_time_ms,
            open=41_990.5,
            high=42_100.25,
            low=41_900.0,
            close=close,
            volume=1e-05,
        )

    def versions(self, at_ms: int, number: int = 0) -> Batch:
        rules, config = (f"{number or ''}{whole}"[:64] for whole in (RULES, CONFIG))
        return Batch(
            rule_versions=[RuleVersionRow(at_ms=at_ms, rules_hash=rules, text="regimes: {}\n")],
            config_versions=[ConfigVersionRow(at_ms=at_ms, config_hash=config, text="symbols: [BTCUSDT]\n")],
        )

    def day(self, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), trades: int = 2) -> list[Batch]:
        """Batches that touch every table, with trades left in each of their states."""
        batches = [self.versions(START), Batch(system_events=[self.event(START), self.account_event(START)])]
        for number in range(1, trades + 1):
            for symbol in symbols:
                at_ms = START + number * 10 * HOUR
                batches += self._trade_batches(symbol, number, at_ms)
        last = START + (trades + 1) * 10 * HOUR
        open_symbol, planned_symbol = symbols[0], symbols[-1]
        opening = self.round_trip(open_symbol, trades + 1, last)[:4]
        batches += [Batch(transitions=[row]) for row in opening]
        batches.append(Batch(transitions=[self.signalled(planned_symbol, trades + 1, last)]))
        mark = PositionMark(
            symbol=open_symbol,
            mark=Decimal("42100.5"),
            upnl=Decimal("11.94"),
            liquidation_price=Decimal("21500.1"),
            isolated_wallet=Decimal("2520"),
            updated_ms=last + 2_000,
        )
        batches.append(Batch(marks=[mark], equity=[self.equity(last)], alerts=[self.alert(last)]))
        batches.append(Batch(decisions=[self.decision(symbol, last) for symbol in symbols]))
        return batches

    def _trade_batches(self, symbol: str, number: int, at_ms: int) -> list[Batch]:
        rows = self.round_trip(symbol, number, at_ms)
        trade_id = f"{symbol}-{number}"
        quiet = Batch(decisions=[self.decision(symbol, at_ms - (k + 2) * HOUR) for k in (3, 2, 1)])
        signal = Batch(transitions=[rows[0]], decisions=[self.decision(symbol, at_ms - HOUR, "SIGNAL", "PULLBACK")])
        signal.regimes.append(self.regime(symbol, at_ms))
        signal.candles += [self.candle(symbol, at_ms - HOUR)]
        signal.anchors.append(AnchorRow(symbol=symbol, timeframe="1h", first_ms=START))
        batches = [quiet, signal, *(Batch(transitions=[row]) for row in rows[1:])]
        batches[3].fills += [self.fill(symbol, 10 * number + k, at_ms + 1_000, trade_id) for k in (1, 2)]
        batches[3].order_updates.append(
            OrderUpdate(
                client_order_id=f"f0-{symbol}-{number}-E1.1",
                order_id=77_000 + number,
                status="FILLED",
                executed_quantity=Decimal("0.120"),
                average_price=Decimal("42001.00"),
                updated_ms=at_ms + 1_000,
            )
        )
        batches[-1].equity.append(self.equity(at_ms + 5 * HOUR))
        batches[-1].system_events.append(self.account_event(at_ms + 5 * HOUR, high="10114.9"))
        batches[-1].errors.append(self.error(at_ms + 5 * HOUR))
        batches[-1].documents.append(DocumentRow(name="health", at_ms=at_ms, body_json='{"ok":true}'))
        return batches

    def outcome(self, intent_id: str, at_ms: int, status: Any = "CONFIRMED") -> IntentOutcome:
        return IntentOutcome(intent_id=intent_id, status=status, outcome_json='{"type":"CONFIRMED"}', at_ms=at_ms)


@pytest.fixture(scope="session")
def story() -> Story:
    return Story()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bot.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with open_store(path, mode="write", at_ms=START) as opened:
        yield opened


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store, "run-1")


@pytest.fixture
def dump() -> Any:
    """Every row of every table, as the database's contents can be compared."""

    def dumped(path: Path) -> dict[str, list[Any]]:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}
        connection.close()
        return tables

    return dumped
