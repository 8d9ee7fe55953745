"""How a row takes its place in a hash chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, get_type_hints

import msgspec
from peewee import Model

from store import models, rows
from store.canonical import GENESIS, Canonical, Value, finite
from store.tables import TABLES

ChainedRow = (
    rows.TransitionRow
    | rows.DecisionRow
    | rows.RegimeRow
    | rows.FillRow
    | rows.EquityRow
    | rows.SystemEventRow
    | rows.ErrorRow
    | rows.RuleVersionRow
    | rows.ConfigVersionRow
)


class Head(NamedTuple):
    """The newest row of a chain; id 0 before the first."""

    id: int
    hash: str


EMPTY = Head(0, GENESIS)


class Chain:
    """One chained table: turns rows into column values that continue it."""

    def __init__(self, model: type[Model], row_type: type[msgspec.Struct]) -> None:
        self.model = model
        self.row_type = row_type
        self.table = TABLES[model]
        columns = self.table.columns
        if columns != row_type.__struct_fields__:
            raise TypeError(f"{row_type.__name__} must have the columns of {self.table.name}, in their order")
        self._digest = Canonical(columns).digest
        self._run, self._prev, self._hash = (columns.index(name) for name in ("run_id", "prev_hash", "hash"))
        hints = get_type_hints(row_type)
        converters = ((position, _converter(hints[column])) for position, column in enumerate(columns))
        self._converters = tuple((position, convert) for position, convert in converters if convert is not None)

    def seal(self, row: msgspec.Struct, head: Head, run_id: str) -> tuple[tuple[Value, ...], Head]:
        """The row's column values as the row after ``head``, and the head that it becomes."""
        values = list(msgspec.structs.astuple(row))
        for position, convert in self._converters:
            if values[position] is not None:
                values[position] = convert(values[position])
        values[0], values[self._prev], values[self._hash] = head.id + 1, head.hash, None
        values[self._run] = values[self._run] or run_id  # a stretch may have begun in an earlier run
        sealed = self._digest(values)
        values[self._hash] = sealed
        return tuple(values), Head(head.id + 1, sealed)

    def hashes(self, values: Sequence[Value]) -> tuple[str, Value, Value]:
        """Of a row that was read: the hash it should have, the one it has, and the one of the row before it."""
        unsealed = list(values)
        unsealed[self._hash] = None
        return self._digest(unsealed), values[self._hash], values[self._prev]


def _converter(hint: Any) -> Callable[[Any], Value] | None:
    kinds = set(getattr(hint, "__args__", (hint,)))
    if Decimal in kinds:
        return _decimal_text
    if bool in kinds:
        return int
    return finite if float in kinds else None


def _decimal_text(amount: Decimal) -> str:
    if not amount.is_finite():
        raise ValueError(f"{amount} is not an amount")
    return format(amount, "f")


CHAINS: dict[type[msgspec.Struct], Chain] = {
    row_type: Chain(model, row_type)
    for model, row_type in (
        (models.Transition, rows.TransitionRow),
        (models.Decision, rows.DecisionRow),
        (models.Regime, rows.RegimeRow),
        (models.Fill, rows.FillRow),
        (models.EquitySnapshot, rows.EquityRow),
        (models.SystemEvent, rows.SystemEventRow),
        (models.ErrorEntry, rows.ErrorRow),
        (models.RuleVersion, rows.RuleVersionRow),
        (models.ConfigVersion, rows.ConfigVersionRow),
    )
}
