"""Writes a venue's memory as JSON and reads it back without loss."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from exchange.filters import SymbolFilters
from exchange.sim.core.holding import Holding
from exchange.sim.core.ledger import Ledger
from exchange.sim.core.orders import AlgoState, OrderState
from exchange.sim.core.state import Settings, VenueState
from exchange.sim.playback.candle_path import Quote
from exchange.types import Bracket, Fill, Income, SymbolConfig

_VERSION = 1


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    settings: Settings
    now_ms: int
    opening_balance: Decimal
    wallet: Decimal
    ids_made: tuple[int, int]
    liquidations: int
    quotes: dict[str, Quote]
    holdings: dict[str, Holding]
    configs: dict[str, SymbolConfig]
    orders: list[OrderState]
    algos: list[AlgoState]
    fills: list[Fill]
    income: list[Income]
    income_shown_ms: list[tuple[int, int]] = []


def save(state: VenueState) -> bytes:
    """Everything but filters, brackets and events that nobody drained yet."""
    return msgspec.json.encode(
        _Saved(
            version=_VERSION,
            settings=state.settings,
            now_ms=state.now_ms,
            opening_balance=state.ledger.opening_balance,
            wallet=state.ledger.wallet,
            ids_made=state.ids_made,
            liquidations=state.liquidations,
            quotes=state.quotes,
            holdings=state.holdings,
            configs=state.configs,
            orders=list(state.orders),
            algos=list(state.algos),
            fills=state.fills,
            income=state.ledger.rows,
            income_shown_ms=sorted(state.ledger.shown_ms.items()),
        ),
        order="deterministic",
    )


def load(
    saved: bytes, *, filters: Mapping[str, SymbolFilters], brackets: Mapping[str, tuple[Bracket, ...]]
) -> VenueState:
    """Raises ValueError when the text is not a venue of this version."""
    try:
        found = msgspec.json.decode(saved, type=_Saved)
    except msgspec.DecodeError as error:
        raise ValueError(f"the saved account cannot be read ({error}); start afresh with FRESH=1") from None
    if found.version != _VERSION:
        raise ValueError(f"the saved account has version {found.version}, not {_VERSION}; start afresh with FRESH=1")
    ledger = Ledger(found.opening_balance)
    ledger.rows, ledger.wallet, ledger.shown_ms = found.income, found.wallet, dict(found.income_shown_ms)
    state = VenueState(settings=found.settings, filters=filters, brackets=brackets, ledger=ledger)
    state.now_ms = found.now_ms
    state.ids_made = found.ids_made
    state.liquidations = found.liquidations
    state.quotes, state.holdings, state.configs = found.quotes, found.holdings, found.configs
    state.fills = found.fills
    for order in found.orders:
        state.orders.put(order)
    for algo in found.algos:
        state.algos.put(algo)
    return state
