"""Writes the journal: one transaction for a batch's rows, their projections, the outbox and the acknowledgements.

The journal is the only writer of the chained tables and knows their newest rows, so the id of the next
transition is known before it is committed. A commit either returns with everything on the disk, or raises
JournalError with nothing applied and nothing changed in memory: what was to be recorded has not happened.
"""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
from peewee import Model

from store import models, statements
from store.batch import Batch
from store.canonical import Value
from store.chains import CHAINS, EMPTY, Chain, Head
from store.changing_rows import ChangingRows
from store.database import Store
from store.decision_runs import DecisionRunRow, advance
from store.errors import JournalError
from store.models import ChainHead, DecisionStretch
from store.projections import Change, project, project_account
from store.rows import ConfigVersionRow, DecisionRow, FillRow, RuleVersionRow, SystemEventRow, TransitionRow
from store.sqlite import reading
from store.tables import TABLES
from store.writes import Writes


class _Memory:
    """What the journal must know to continue: newest rows, open stretches, what is written once only.

    A batch works on a copy that reads through to the original, which is only replaced when the batch stands.
    """

    def __init__(
        self, heads: dict[type[Model], Head], stretches: dict[str, DecisionRunRow], versions: set[str]
    ) -> None:
        self.heads = heads
        self.stretches = stretches
        self.versions = versions
        self.fills: set[tuple[str, int]] = set()  # not yet on the disk

    def adopt(self, step: _Step) -> None:
        self.heads.update(step.heads)
        for symbol, stretch in step.stretches.items():
            if stretch is None:
                self.stretches.pop(symbol, None)
            else:
                self.stretches[symbol] = stretch
        self.versions |= step.versions
        self.fills |= step.fills


class _Step:
    """The changes that one batch makes to the memory, and the rows it gives. Nothing is written before it is whole."""

    __slots__ = ("_memory", "_run_id", "changes", "fills", "heads", "rows", "stretches", "versions")

    def __init__(self, memory: _Memory, run_id: str) -> None:
        self._memory = memory
        self._run_id = run_id
        self.heads: dict[type[Model], Head] = {}
        self.rows: list[tuple[type[Model], list[tuple[Value, ...]]]] = []
        self.changes: list[Change] = []
        self.stretches: dict[str, DecisionRunRow | None] = {}
        self.versions: set[str] = set()
        self.fills: set[tuple[str, int]] = set()

    def stretch(self, symbol: str) -> DecisionRunRow | None:
        return self.stretches[symbol] if symbol in self.stretches else self._memory.stretches.get(symbol)

    def knows_version(self, key: str) -> bool:
        return key in self._memory.versions or key in self.versions

    def knows_fill(self, key: tuple[str, int]) -> bool:
        return key in self._memory.fills or key in self.fills

    def append(self, chain: Chain, rows: Iterable[msgspec.Struct]) -> None:
        """Chain rows after the newest."""
        head = first = self.heads.get(chain.model) or self._memory.heads[chain.model]
        sealed = []
        for row in rows:
            values, head = chain.seal(row, head, self._run_id)
            sealed.append(values)
        if head is not first:
            self.heads[chain.model] = head
            self.rows.append((chain.model, sealed))

    def next_id(self, model: type[Model]) -> int:
        return (self.heads.get(model) or self._memory.heads[model]).id + 1

    def put_into(self, writes: Writes) -> None:
        for model, rows in self.rows:
            writes.append(model, rows)
        for change in self.changes:
            writes.put(change)
        for symbol, stretch in self.stretches.items():
            writes.stretch(symbol, stretch)
        for model, head in self.heads.items():
            writes.head(model, *head)


class Journal:
    """The one writer. ``run_id`` names this run in every row; ``flush_every`` > 1 is for backtests.

    With ``flush_every`` N, rows are chained at once but written N batches at a time, in one transaction:
    the same rows and hashes, far fewer commits. Nothing of that is on the disk before ``flush`` (or the end
    of a ``with`` block), so nothing may be acted upon in the world.
    """

    def __init__(self, store: Store, run_id: str, *, flush_every: int = 1) -> None:
        self._store = store
        self.run_id = run_id
        self._flush_every = flush_every
        self._memory = _remembered(store)
        self._waiting = self._writes()
        self._batches_waiting = 0

    @property
    def next_transition_id(self) -> int:
        """The id that the next committed transition will have."""
        return self._memory.heads[models.Transition].id + 1

    def head(self, model: type[Model] = models.Transition) -> Head:
        """The newest row of a chain, counting rows that wait to be flushed; its hash stands for all before it."""
        return self._memory.heads[model]

    def commit(self, batch: Batch) -> None:
        """Apply a batch whole, or raise JournalError with nothing changed."""
        if self._flush_every > 1 and self._batches_waiting >= self._flush_every:
            self.flush()
        self._take(self._composed(batch), batch)

    def close_stretches(self, symbols: Sequence[str] | None = None) -> None:
        """Chain the open stretches of decisions as they stand: at the end of a backtest, or of a symbol."""
        step = _Step(self._memory, self.run_id)
        chosen = sorted(self._memory.stretches) if symbols is None else symbols
        for symbol in chosen:
            stretch = self._memory.stretches.get(symbol)
            if stretch is not None:
                step.append(CHAINS[DecisionRow], [stretch.closed()])
                step.stretches[symbol] = None
        self._take(step, Batch())

    def mark_verified(self, ids: dict[str, int]) -> None:
        """Note up to which row each chain was verified: a start then checks only what came after."""
        heads = ChangingRows(ChainHead, None)
        with self._store.transaction(JournalError) as connection:
            for name, verified in ids.items():
                heads.keep(connection, name, (verified,))
            heads.write(connection)

    def flush(self) -> None:
        """Write what waits. On JournalError it still waits, and can be flushed again."""
        if self._batches_waiting:
            with self._store.transaction(JournalError):
                self._waiting.apply()
            self._waiting, self._batches_waiting = self._writes(), 0
            self._memory.fills.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()

    def _writes(self) -> Writes:
        return Writes(self._store.connection, self._store.seals)

    def _take(self, step: _Step, batch: Batch) -> None:
        if self._flush_every > 1:
            _put(step, batch, self._waiting)
            self._batches_waiting += 1
        else:
            with self._store.transaction(JournalError):
                writes = self._writes()
                _put(step, batch, writes)
                writes.apply()
            step.fills.clear()
        self._memory.adopt(step)

    def _composed(self, batch: Batch) -> _Step:
        step = _Step(self._memory, self.run_id)
        try:
            self._compose_chained(step, batch)
        except (ValueError, msgspec.MsgspecError) as error:
            raise JournalError(
                f"a row cannot be journalled: {error}", "this is a bug: please report it with the row"
            ) from error
        return step

    def _compose_chained(self, step: _Step, batch: Batch) -> None:
        for transition in batch.transitions:
            self._add_projected(step, transition, models.Transition)
        for event in batch.system_events:
            self._add_projected(step, event, models.SystemEvent)
        for decision in batch.decisions:
            rows, stretch = advance(step.stretch(decision.symbol), decision, self.run_id)
            step.append(CHAINS[DecisionRow], rows)
            step.stretches[decision.symbol] = stretch
        for plain in (batch.regimes, batch.equity, batch.errors):
            if plain:
                step.append(CHAINS[type(plain[0])], plain)
        for fill in batch.fills:
            self._add_fill(step, fill)
        for rules in batch.rule_versions:
            self._add_version(step, rules, f"rules {rules.rules_hash}")
        for config in batch.config_versions:
            self._add_version(step, config, f"config {config.config_hash}")

    def _add_projected(self, step: _Step, row: TransitionRow | SystemEventRow, model: type[Model]) -> None:
        number = step.next_id(model)
        numbered: Any = row if row.id == number else msgspec.structs.replace(row, id=number)
        step.changes += project(numbered) if model is models.Transition else project_account(numbered)
        step.append(CHAINS[type(row)], [row])

    def _add_fill(self, step: _Step, fill: FillRow) -> None:
        key = (fill.symbol, fill.fill_id)
        if step.knows_fill(key) or self._store.connection.execute(statements.FILL_EXISTS, key).fetchone():
            return
        step.append(CHAINS[FillRow], [fill])
        step.fills.add(key)

    def _add_version(self, step: _Step, version: RuleVersionRow | ConfigVersionRow, key: str) -> None:
        if not step.knows_version(key):
            step.append(CHAINS[type(version)], [version])
            step.versions.add(key)


def _put(step: _Step, batch: Batch, writes: Writes) -> None:
    """Hand everything of a batch on: what became of an intent comes after the transition that made it."""
    step.put_into(writes)
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
