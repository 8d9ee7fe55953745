"""The content of config.yaml as frozen values. Percentages are percent (0.5 means 0.5 %) and Decimal.

Meaning, bounds and reasons of each key stand in config.schema.json and, with the shipped values, in config.yaml;
a test keeps the defaults of all three equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from fsm.config.schema import AlertLevel, alert_kinds
from fsm.core.model.policy import ListRule, Policy, SymbolSettings

_LIST_KEYS = ("top_by", "n", "exclude")
"""Beside names of symbols, which are capitals."""


def alert_levels(given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """How loud each kind of alert is: as it is given, else by its default. What is no kind any more is left out."""
    given = given or {}
    return {name: given.get(name, kind.default) for name, kind in alert_kinds().items()}


class Loops(msgspec.Struct, frozen=True, kw_only=True):
    reconcile_interval_ms: int = 5_000
    lists_interval_ms: int = 60_000
    equity_interval_ms: int = 15_000
    heartbeat_interval_ms: int = 3_600_000
    ping_interval_ms: int = 20_000
    command_age_ms_max: int = 600_000


class Escalation(msgspec.Struct, frozen=True, kw_only=True):
    severity_min: Literal["info", "warning", "critical"] = "warning"
    unacknowledged_ms: int | None = 900_000


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    reference: str | None = None
    false_alarms_a_year: Decimal = Decimal("0.1")
    pause: bool = False


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    confirm_looser: Literal["mainnet", "always", "never"] = "mainnet"
    edit_in_browser: bool = False


class Web(msgspec.Struct, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 8080
    jobs: bool = False


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    balance_usdt: Decimal = Decimal("10000")
    maker_fee_pct: Decimal = Decimal("0.02")
    taker_fee_pct: Decimal = Decimal("0.05")
    slippage_pct: Decimal = Decimal("0.02")
    stop_depth_share: Decimal = Decimal("0.25")
    seed: int = 1
    speed: Decimal = Decimal("600")


class Settings(Policy, frozen=True, kw_only=True):
    """The whole of config.yaml: what decisions are taken with, and how the process that takes them runs.

    With a ``symbol_list``, ``symbols`` only hold values of their own, and those that are not enabled are excluded.
    """

    version: int
    symbol_list: ListRule | None = None
    loops: Loops = Loops()
    alerts: dict[str, AlertLevel] = msgspec.field(default_factory=alert_levels)
    escalation: Escalation = Escalation()
    drift: Drift = Drift()
    reload: Reload = Reload()
    web: Web = Web()
    simulation: Simulation = Simulation()

    @property
    def enabled_symbols(self) -> tuple[str, ...]:
        """Symbols that are named to be traded, in the order in which they are decided; none where a list chooses."""
        if self.symbol_list is not None:
            return ()
        return tuple(sorted(symbol for symbol, own in self.symbols.items() if own.enabled))

    def allows(self, symbol: str) -> bool:
        """Whether it is named to be traded, or may be on the list."""
        rule = self.list_rule
        return symbol in self.enabled_symbols if rule is None else symbol not in rule.exclude

    def with_symbols(self, symbols: Iterable[str]) -> Settings:
        """The same settings for exactly these symbols, all enabled; those that were listed keep their own values."""
        own = {name: self.symbols.get(name, SymbolSettings()) for name in symbols}
        enabled = {name: msgspec.structs.replace(settings, enabled=True) for name, settings in own.items()}
        return msgspec.structs.replace(self, symbols=enabled, symbol_list=None)

    @property
    def list_rule(self) -> ListRule | None:
        """The rule with everything that it excludes, each once and in order: equal rules are equal."""
        if self.symbol_list is None:
            return None
        disabled = (name for name, own in self.symbols.items() if not own.enabled)
        excluded = tuple(sorted({*self.symbol_list.exclude, *disabled}))
        return msgspec.structs.replace(self.symbol_list, exclude=excluded)

    def plain(self) -> dict[str, Any]:
        """Everything in force as plain data, as it could stand in config.yaml; equal settings give equal data."""
        data: dict[str, Any] = _plain(msgspec.to_builtins(self, builtin_types=(Decimal,)))
        rule = data.pop("symbol_list")
        if rule is not None:
            data["symbols"] = {**rule, **data["symbols"]}
        return data


def settings_of(data: Any) -> Settings:
    """What plain data says, as it stands in config.yaml. Raises msgspec.ValidationError."""
    named = data.get("symbols") if isinstance(data, dict) else None
    if isinstance(named, dict) and "top_by" in named:
        rule = {key: named[key] for key in _LIST_KEYS if key in named}
        own = {name: given for name, given in named.items() if name not in _LIST_KEYS}
        data = {**data, "symbols": own, "symbol_list": rule}
    if isinstance(data, dict) and isinstance(data.get("alerts"), dict):
        data = {**data, "alerts": alert_levels(data["alerts"])}
    return msgspec.convert(data, Settings)


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if isinstance(node, Decimal):
        return int(node) if node == node.to_integral_value() else float(node)
    return node
