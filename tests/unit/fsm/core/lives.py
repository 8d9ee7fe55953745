"""Whole lives of a symbol by seed, and the journal that the engine writes of them, as text that a person can compare.

``python -m tests.unit.fsm.core.lives`` writes the recorded journal anew; its difference in git is then what changed for
everyone who reads a journal.
"""

from __future__ import annotations

import dataclasses
import gzip
import random
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import msgspec

from exchange.types import AlgoStatus, Confirmed, OrderStatus, Side, Unknown
from fsm.core.model.decision import Decision
from fsm.core.model.decision_context import EDITION, HANDS_EDITION
from fsm.core.model.money import MONEY
from fsm.core.model.records import SymbolRecord
from tests.unit.fsm.core.test_any_exchange import ENTRY_FATES, LEVELS, AnyExchange, LimitEntries

DATA = Path(__file__).parents[3] / "data"
RECORDED = DATA / "core_journal.txt.gz"
RECORDED_BY_THE_FIRST = DATA / "core_journal_0.1.0.txt.gz"
"""What version 0.1.0 wrote of the same lives. It is never written anew: its journals are decided again for ever."""

LIVES = 48
ENDS = (AlgoStatus.CANCELED, AlgoStatus.EXPIRED, AlgoStatus.REJECTED, AlgoStatus.TRIGGERING)
STEPS = 60
_text = msgspec.json.Encoder(order="deterministic").encode


class Life:
    """One life: what happens next is drawn from the seed alone."""

    def __init__(self, seed: int, edition: int) -> None:
        self.chance = random.Random(seed)
        self.machine = LimitEntries() if seed % 3 == 0 else AnyExchange()
        self.stage = self.machine.stage
        self.stage.context = dataclasses.replace(self.stage.context, edition=edition)

    def live(self) -> None:
        for _ in range(STEPS):
            if self.stage.record.trade is None and self.chance.random() < 0.7:
                self._want_a_trade()
            else:
                self.chance.choice(self._possible())()
        self.machine.teardown()

    def _want_a_trade(self) -> None:
        draw = self.chance.choice
        self.machine.a_trade_is_wanted(
            long=draw([True, False]), fate=draw(ENTRY_FATES), dies=self.chance.random() < 0.1
        )

    def _possible(self) -> list[Callable[[], None]]:
        machine, stage, draw = self.machine, self.stage, self.chance.choice
        exchange, quick = stage.exchange, draw([False, False, True])
        found: list[Callable[[], None]] = [
            lambda: machine.an_hour_passes(draw([80.0, 20.0, 50.0, 5.0, None]), draw(LEVELS), draw([100.0, 300.0])),
            lambda: machine.an_hour_passes(50.0, draw(LEVELS), 100.0),
            lambda: machine.the_price_moves(draw(LEVELS)),
            lambda: machine.time_passes(draw([100, 900, 4_000, 20_000])),
            lambda: machine.the_exchange_gets_worse([draw(range(10)) for _ in range(draw(range(4)))]),
            machine.patient_looks,
            lambda: machine.a_look(persisted=quick),
            lambda: machine.a_look_with_a_wrong_position(draw(["0", "0.01", "0.4", "-0.05"]), persisted=quick),
            lambda: machine.the_operator_wishes(
                draw(["pause", "resume", "halt", "flatten", "exit", "quarantine"]), draw(["OPERATOR", "LIMIT_DAY"])
            ),
            machine.the_process_restarts,
            machine.equity_is_read,
            machine.funding_is_paid,
            machine.a_late_entry_arrives,
        ]
        if stage.record.trade is not None:
            found.append(machine.the_deadline_passes)
        if machine._entry_is_missing():
            found.append(machine.the_entry_is_shown_absent)
        if stage.state == "SIGNALLED":
            found.append(lambda: machine.the_setup_is_answered(draw([Confirmed(), Unknown("started again")])))
        if exchange.position and self.chance.random() < 0.3:
            found.append(lambda: machine.somebody_trades_by_hand(draw(list(Side)), draw(["0.01", "0.05", "0.2"])))
        if stage.context.edition >= HANDS_EDITION and exchange.position and self.chance.random() < 0.2:
            found.append(self._hand_over)
        for client_id in machine._resting_algos() if exchange.position else ():
            found.append(lambda cid=client_id: exchange.trigger(cid))
            found.append(lambda cid=client_id: exchange.end_algo(cid, draw(ENDS)))
        for client_id in machine._open_orders():
            found.append(lambda cid=client_id: self._fill(cid, draw(["0.3", "1"])))
            found.append(lambda cid=client_id: exchange.end(cid, draw([OrderStatus.EXPIRED, OrderStatus.CANCELED])))
        return found

    def _hand_over(self) -> None:
        """The user takes the position, and closes it."""
        self.machine.the_operator_wishes("release", "OPERATOR")
        self.machine.patient_looks()
        position = self.stage.exchange.position
        if position and self.stage.record.released is not None:
            self.stage.exchange.by_hand(Side.SELL if position > 0 else Side.BUY, str(abs(position)))
            self.machine.patient_looks()

    def _fill(self, client_id: str, share: str) -> None:
        quantity = self.stage.exchange.orders[client_id].quantity * Decimal(share)
        self.stage.exchange.fill(client_id, self.stage.context.filters.floor_quantity(quantity, market=True))


def journal(seed: int, edition: int = EDITION) -> Iterator[str]:
    """Every row of this life: what was decided, why, on which facts, what is asked for, and what it changed."""
    with localcontext(MONEY):
        life = Life(seed, edition)
        life.live()
        yield f"life {seed}"
        for before, decision, _ in life.stage.ledger.rows:
            yield from _row(before, decision)
        for kinds, after in life.stage.ledger.account_rows:
            yield f"  account {','.join(kinds)} {_text(after).decode()}"


def _row(before: SymbolRecord, decision: Decision) -> Iterator[str]:
    yield f"  {before.state} {decision.trigger} {decision.reason} -> {decision.record.state}"
    for guard in decision.guards:
        yield f"    guard {guard.name} {guard.value} {guard.limit}"
    if decision.facts:
        yield f"    facts {_text(decision.facts).decode()}"
    for intent in decision.intents:
        yield f"    intent {_text(intent).decode()}"
    if decision.booked is not None:
        yield f"    booked {_text(decision.booked).decode()}"
    old, new = _flat(before), _flat(decision.record)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"    {name}: {old.get(name)} -> {new.get(name)}"


def _flat(record: SymbolRecord) -> dict[str, Any]:
    built = msgspec.to_builtins(record)
    trade = built.pop("trade") or {}
    return built | {f"trade.{name}": value for name, value in trade.items()}


def recorded(path: Path = RECORDED) -> dict[int, list[str]]:
    """The lines of each life, by its seed."""
    lives: dict[int, list[str]] = {}
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        if line.startswith("life "):
            lines = lives[int(line.removeprefix("life "))] = []
        lines.append(line)
    return lives


if __name__ == "__main__":
    text = "\n".join(line for seed in range(LIVES) for line in journal(seed)) + "\n"
    RECORDED.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{text.count(chr(10)):,} lines in {RECORDED.name}, {RECORDED.stat().st_size:,} bytes")
