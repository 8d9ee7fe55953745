"""The tables as Peewee models: columns, types and keys. Bound to no database: a query is bound when it runs.

Column order matters in a model: it is the order in which rows are written and hashed columns are named.
The tables themselves, with indexes and triggers, are made by store/migrations, and a test keeps the two alike.
"""

from __future__ import annotations

from peewee import Model

from store.models.journal import (
    ConfigVersion,
    Decision,
    EquitySnapshot,
    ErrorEntry,
    Fill,
    Regime,
    RuleVersion,
    SystemEvent,
    Transition,
)
from store.models.projections import (
    AccountState,
    ChainHead,
    DecisionStretch,
    Identity,
    Intent,
    Order,
    Position,
    SymbolState,
)
from store.models.remaining import Alert, Candle, Command, Document, SchemaVersion, Seal, SeriesAnchor
from store.trade_rows import Trade

CHAINED: tuple[type[Model], ...] = (
    Transition,
    Decision,
    Regime,
    Fill,
    EquitySnapshot,
    SystemEvent,
    ErrorEntry,
    RuleVersion,
    ConfigVersion,
)
"""Append-only tables, each a hash chain of its own."""

PROJECTIONS: tuple[type[Model], ...] = (
    SymbolState,
    AccountState,
    Trade,
    Order,
    Position,
    Intent,
    DecisionStretch,
    ChainHead,
    Identity,
)
"""Tables whose rows carry ``row_hash``."""

DESK: tuple[type[Model], ...] = (Command, Alert, Candle, SeriesAnchor, Document, Seal, SchemaVersion)
"""Everything else."""

__all__ = [
    "CHAINED",
    "DESK",
    "PROJECTIONS",
    "AccountState",
    "Alert",
    "Candle",
    "ChainHead",
    "Command",
    "ConfigVersion",
    "Decision",
    "DecisionStretch",
    "Document",
    "EquitySnapshot",
    "ErrorEntry",
    "Fill",
    "Identity",
    "Intent",
    "Order",
    "Position",
    "Regime",
    "RuleVersion",
    "SchemaVersion",
    "Seal",
    "SeriesAnchor",
    "SymbolState",
    "SystemEvent",
    "Trade",
    "Transition",
]
