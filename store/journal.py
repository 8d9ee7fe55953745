"""Writes the journal: one transaction for a batch's rows, their projections, the outbox and the acknowledgements.

The journal is the only writer of the chained tables and knows their newest rows, so the id of the next
transition is known before it is committed. A commit either returns with everything on the disk, or raises
JournalError with nothing applied and nothing changed in memory: what was to be recorded has not happened.
"""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import apsw
import msgspec
from peewee import Model

from store import models, statements
from store.batch import Batch
from store.chains import CHAINS, EMPTY, Chain, Head
from store.changing_rows import ChangingRows
from store.database import Store
from store.decision_runs import DecisionRunRow, advance
from store.errors import JournalError
from store.models import ChainHead, DecisionStretch
from store.projections import project, project_account
from store.rows import (
    ConfigVersionRow,
    DecisionRow,
    EquityRow,
    ErrorRow,
    FillRow,
    RegimeRow,
    RuleVersionRow,
    SystemEventRow,
    TransitionRow,
)
from store.sqlite import reading
from store.tables import TABLES
from store.writes import Writes


class _Memory:
    """What the journal must know to continue: newest rows, open stretches, what is written once only.

    A step works on a copy that reads through to the original, which is only replaced when the step stands.
    """

    def __init__(
        self, heads: dict[type[Model], Head], stretches: dict[str, DecisionRunRow], versions: set[str]
    ) -> None:
        self.heads = heads
        self.stretches = stretches
        self.versions = versions

    def adopt(self, step: _Step) -> None:
        self.heads.update(step.heads)
        for symbol, stretch in step.stretches.items():
            if stretch is None:
                self.stretches.pop(symbol, None)
            else:
                self.stretches[symbol] = stretch
        self.versions |= step.versions


class _Step:
    """What one transaction writes, of one batch or of many, and the changes that it makes to the memory."""

    __slots__ = ("_memory", "fills", "heads", "run_id", "stretches", "versions", "writes")

    def __init__(self, memory: _Memory, run_id: str, writes: Writes) -> None:
        self._memory = memory
        self.run_id = run_id
        self.writes = writes
        self.heads = dict(memory.heads)
        self.stretches: dict[str, DecisionRunRow | None] = {}
        self.versions: set[str] = set()
        self.fills: set[tuple[str, int]] = set()

    def stretch(self, symbol: str) -> DecisionRunRow | None:
        return self.stretches[symbol] if symbol in self.stretches else self._memory.stretches.get(symbol)

    def hold(self, symbol: str, stretch: DecisionRunRow | None) -> None:
        self.stretches[symbol] = stretch
        self.writes.stretch(symbol, stretch)

    def knows_version(self, key: str) -> bool:
        return key in self._memory.versions or key in self.versions

    def append(self, chain: Chain, row: msgspec.Struct) -> None:
        """Chain a row after the newest."""
        values, head = chain.seal(row, self.heads[chain.model], self.run_id)
        self.heads[chain.model] = head
        self.writes.append(chain.model, values, head)


class Journal:
    """The one writer. ``run_id`` names this run in every row; ``flush_every`` > 1 is for backtests.

    With ``flush_every`` N, rows are chained at once but written N batches at a time, in one transaction:
    the same rows and hashes, far fewer commits. Nothing of that is on the disk before ``flush`` (or the end
    of a ``with`` block), so nothing may be acted upon in the world. After a batch that it refused it takes no other:
    what waits may hold a part of it.
    """

    def __init__(self, store: Store, run_id: str, *, flush_every: int = 1) -> None:
        self._store = store
        self._run_id = run_id
        self._flush_every = flush_every
        self._memory = _remembered(store)
        self._is_new = store.is_new and flush_every > 1 and all(head == EMPTY for head in self._memory.heads.values())
        self._fills: dict[str, set[int]] | None = {} if self._is_new else None  # all there are, where that is known
        self._waiting: _Step | None = None
        self._batches_waiting = 0
        self._is_broken = False

    @property
    def run_id(self) -> str:
        return self._run_id

    @run_id.setter
    def run_id(self, run_id: str) -> None:
        """Of the rows that come now, also where earlier ones still wait."""
        self._run_id = run_id
        if self._waiting is not None:
            self._waiting.run_id = run_id

    @property
    def next_transition_id(self) -> int:
        """The id that the next committed transition will have."""
        return self.head().id + 1

    def head(self, model: type[Model] = models.Transition) -> Head:
        """The newest row of a chain, counting rows that wait to be flushed; its hash stands for all before it."""
        return (self._waiting or self._memory).heads[model]

    def commit(self, batch: Batch) -> None:
        """Apply a batch whole, or raise JournalError with nothing changed."""
        self._take(lambda step: self._compose(step, batch))

    def close_stretches(self, symbols: Sequence[str] | None = None) -> None:
        """Chain the open stretches of decisions as they stand: at the end of a backtest, or of a symbol."""

        def close(step: _Step) -> None:
            known = {**self._memory.stretches, **step.stretches}
            for symbol in sorted(known) if symbols is None else symbols:
                stretch = known.get(symbol)
                if stretch is not None:
                    step.append(CHAINS[DecisionRow], stretch.closed())
                    step.hold(symbol, None)

        self._take(close)

    def mark_verified(self, ids: dict[str, int]) -> None:
        """Note up to which row each chain was verified: a start then checks only what came after."""
        heads = ChangingRows(ChainHead, None)
        with self._store.transaction(JournalError) as connection:
            for name, verified in ids.items():
                heads.keep(connection, name, (verified,))
            heads.write(connection)

    def flush(self) -> None:
        """Write what waits. On JournalError it still waits, and can be flushed again."""
        if self._is_broken:
            raise _refused("an earlier batch was refused")
        if self._waiting is not None and self._batches_waiting:
            with self._store.transaction(JournalError):
                self._waiting.writes.apply()
            self._memory.adopt(self._waiting)
            self._waiting.writes.forget()
            self._waiting, self._batches_waiting = self._begun(self._waiting.writes), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()

    def _take(self, compose: Callable[[_Step], None]) -> None:
        if self._flush_every > 1:
            if self._batches_waiting >= self._flush_every or self._is_broken:
                self.flush()
            if self._waiting is None:
                self._waiting = self._begun(self._writes(self._store.connection))
            self._is_broken = True
            compose(self._waiting)
            self._is_broken = False
            self._batches_waiting += 1
        else:
            with self._store.transaction(JournalError) as connection:
                step = self._begun(self._writes(connection))
                compose(step)
                step.writes.apply()
            self._memory.adopt(step)

    def _begun(self, writes: Writes) -> _Step:
        return _Step(self._memory, self.run_id, writes)

    def _writes(self, connection: apsw.Connection) -> Writes:
        return Writes(connection, self._store.seals, is_new=self._is_new)

    def _compose(self, step: _Step, batch: Batch) -> None:
        try:
            self._compose_chained(step, batch)
        except (ValueError, msgspec.MsgspecError) as error:
            raise _refused(f"a row cannot be journalled: {error}") from error
        _put(step.writes, batch)

    def _compose_chained(self, step: _Step, batch: Batch) -> None:
        for transition in batch.transitions:
            self._add_projected(step, transition, models.Transition)
        for event in batch.system_events:
            self._add_projected(step, event, models.SystemEvent)
        for decision in batch.decisions:
            rows, stretch = advance(step.stretch(decision.symbol), decision, self.run_id)
            for row in rows:
                step.append(CHAINS[DecisionRow], row)
            step.hold(decision.symbol, stretch)
        for regime in batch.regimes:
            step.append(CHAINS[RegimeRow], regime)
        for equity in batch.equity:
            step.append(CHAINS[EquityRow], equity)
        for error in batch.errors:
            step.append(CHAINS[ErrorRow], error)
        for fill in batch.fills:
            self._add_fill(step, fill)
        for rules in batch.rule_versions:
            self._add_version(step, rules, f"rules {rules.rules_hash}")
        for config in batch.config_versions:
            self._add_version(step, config, f"config {config.config_hash}")

    def _add_projected(self, step: _Step, row: TransitionRow | SystemEventRow, model: type[Model]) -> None:
        number = step.heads[model].id + 1
        numbered: Any = row if row.id == number else msgspec.structs.replace(row, id=number)
        for change in project(numbered) if model is models.Transition else project_account(numbered):
            step.writes.put(change)
        step.append(CHAINS[type(row)], row)

    def _add_fill(self, step: _Step, fill: FillRow) -> None:
        if self._fills is not None:
            known = self._fills.setdefault(fill.symbol, set())
            if fill.fill_id not in known:
                known.add(fill.fill_id)
                step.append(CHAINS[FillRow], fill)
            return
        key = (fill.symbol, fill.fill_id)
        if key in step.fills or self._store.connection.execute(statements.FILL_EXISTS, key).fetchone():
            return
        step.append(CHAINS[FillRow], fill)
        step.fills.add(key)

    def _add_version(self, step: _Step, version: RuleVersionRow | ConfigVersionRow, key: str) -> None:
        if not step.knows_version(key):
            step.append(CHAINS[type(version)], version)
            step.versions.add(key)


def _refused(why: str) -> JournalError:
    return JournalError(f"nothing was written: {why}", "this is a bug: report it with the row")


def _put(writes: Writes, batch: Batch) -> None:
    """Hand on what is not chained: what became of an intent comes after the transition that made it."""
    for outcome in batch.intent_outcomes:
        writes.settle(outcome)
    for update in batch.order_updates:
        writes.update(update)
    for end in batch.order_ends:
        writes.end(end)
    for mark in batch.marks:
        writes.mark(mark)
    if batch.acks:
        writes.then(map(statements.acknowledge, batch.acks))
    if batch.alerts:
        writes.then(map(statements.alert, batch.alerts))
    if batch.documents:
        writes.then(map(statements.document, batch.documents))
    if batch.anchors:
        writes.then(map(statements.anchor, batch.anchors))
    if batch.candles:
        writes.candles(map(statements.candle, batch.candles))
    if batch.series:
        writes.series(batch.series)


def _remembered(store: Store) -> _Memory:
    """Newest rows from the chained tables themselves; the copies in chain_heads are there to check them by."""
    heads: dict[type[Model], Head] = {}
    with reading(store.path):
        for chain in CHAINS.values():
            newest = f"SELECT id, hash FROM {chain.table.name} ORDER BY id DESC LIMIT 1"
            row = store.connection.execute(newest).fetchone()
            heads[chain.model] = Head(*row) if row else EMPTY
        columns = ", ".join(TABLES[DecisionStretch].derived)
        found: list[tuple[Any, ...]]
        found = store.connection.execute(f"SELECT {columns} FROM decision_stretches").fetchall()
        stretches = [DecisionRunRow(**dict(zip(DecisionRunRow.__struct_fields__, row, strict=True))) for row in found]
        versions = {f"rules {key}" for (key,) in store.connection.execute("SELECT rules_hash FROM rule_versions")}
        versions |= {f"config {key}" for (key,) in store.connection.execute("SELECT config_hash FROM config_versions")}
    return _Memory(heads, {stretch.symbol: stretch for stretch in stretches}, versions)
