"""What a rules file says, as frozen values: the content that has passed the schema, without comments and places."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec


class AlternativeDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    when: str


class ConditionDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An entry of a list of conditions: one condition, or under ``any`` several of which one is enough."""

    id: str = ""
    when: str = ""
    any: tuple[AlternativeDefinition, ...] = ()

    @property
    def alternatives(self) -> tuple[AlternativeDefinition, ...]:
        return self.any or (AlternativeDefinition(self.id, self.when),)


ConditionList = tuple[ConditionDefinition, ...]


class RampDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``value`` scores 0 at ``zero_at`` and 1 at ``full_at`` (numbers or thresholds), linearly between, clamped."""

    value: str
    zero_at: float | str
    full_at: float | str


class RegimeDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enter: ConditionList
    stay: ConditionList
    confidence: tuple[RampDefinition, ...]


class RegimesDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timeframe: str
    confirmations: int
    override_confidence: float
    dwell_candles: int
    trend: RegimeDefinition = msgspec.field(name="TREND")
    range: RegimeDefinition = msgspec.field(name="RANGE")
    breakout: RegimeDefinition = msgspec.field(name="BREAKOUT")
    exclusive: tuple[str, ...] = ()

    def named(self) -> dict[str, RegimeDefinition]:
        return {"TREND": self.trend, "RANGE": self.range, "BREAKOUT": self.breakout}


class TargetDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    price: str
    portion: float


class SideDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    setup: ConditionList
    stop: str
    targets: tuple[TargetDefinition, ...]
    accept: ConditionList = ()
    trail: str | None = None
    exit_when: ConditionList = ()


class ManageDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``break_even_*`` in multiples of the trade's first risk; candles of the entry timeframe. None = not done."""

    break_even_at_r: float | None = None
    break_even_lock_r: float = 0.0
    exit_after_candles: int | None = None


class StrategyDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reward_risk_min: float
    long: SideDefinition | None = None
    short: SideDefinition | None = None
    manage: ManageDefinition = ManageDefinition()

    def sides(self) -> dict[str, SideDefinition]:
        return {name: side for name, side in (("long", self.long), ("short", self.short)) if side is not None}


class ChoiceDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name that stands for one of several expressions."""

    use: str
    options: dict[str, str]


class RouteDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    strategy: str
    enabled: bool


class CooldownDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    losses: int
    candles: int


class RouterDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    trend: RouteDefinition = msgspec.field(name="TREND")
    range: RouteDefinition = msgspec.field(name="RANGE")
    breakout: RouteDefinition = msgspec.field(name="BREAKOUT")
    cooldown: CooldownDefinition | None = None

    def named(self) -> dict[str, RouteDefinition]:
        return {"TREND": self.trend, "RANGE": self.range, "BREAKOUT": self.breakout}


class RouteOverride(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enabled: bool


class ManageOverride(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a symbol says differently; UNSET = as for all others, None = not done."""

    break_even_at_r: float | msgspec.UnsetType | None = msgspec.UNSET
    break_even_lock_r: float | msgspec.UnsetType = msgspec.UNSET
    exit_after_candles: int | msgspec.UnsetType | None = msgspec.UNSET


class StrategyOverride(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reward_risk_min: float | msgspec.UnsetType = msgspec.UNSET
    manage: ManageOverride = ManageOverride()


class SymbolDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one symbol does differently from the rest of the file."""

    thresholds: dict[str, float] = {}
    choices: dict[str, str] = {}
    router: dict[str, RouteOverride] = {}
    strategies: dict[str, StrategyOverride] = {}


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    timeframes: dict[str, str]
    features: dict[str, dict[str, str | int | float]]
    regimes: RegimesDefinition
    strategies: dict[str, StrategyDefinition]
    router: RouterDefinition
    thresholds: dict[str, float] = {}
    choices: dict[str, ChoiceDefinition] = {}
    symbols: dict[str, SymbolDefinition] = {}

    @classmethod
    def of(cls, data: Any) -> Definition:
        """The definition in data that has passed the schema."""
        return msgspec.convert(data, cls)

    @property
    def hash(self) -> str:
        """SHA-256 of everything that is defined, in hexadecimal: comments, order of keys and quotes do not count."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    def for_symbol(self, symbol: str) -> Definition:
        """The definition with the symbol's own values filled in, and no overrides left."""
        override = self.symbols.get(symbol, SymbolDefinition())
        choices = {
            name: msgspec.structs.replace(choice, use=override.choices.get(name, choice.use))
            for name, choice in self.choices.items()
        }
        strategies = {
            name: _overridden(strategy, override.strategies.get(name)) for name, strategy in self.strategies.items()
        }
        routes = {
            name.lower(): msgspec.structs.replace(route, enabled=override.router[name].enabled)
            for name, route in self.router.named().items()
            if name in override.router
        }
        return msgspec.structs.replace(
            self,
            thresholds={**self.thresholds, **override.thresholds},
            choices=choices,
            strategies=strategies,
            router=msgspec.structs.replace(self.router, **routes),
            symbols={},
        )


def _overridden(strategy: StrategyDefinition, override: StrategyOverride | None) -> StrategyDefinition:
    if override is None:
        return strategy
    manage = msgspec.structs.replace(strategy.manage, **_given(override.manage))
    if override.reward_risk_min is not msgspec.UNSET:
        strategy = msgspec.structs.replace(strategy, reward_risk_min=override.reward_risk_min)
    return msgspec.structs.replace(strategy, manage=manage)


def _given(override: ManageOverride) -> dict[str, float | int | None]:
    given = msgspec.structs.asdict(override)
    return {name: value for name, value in given.items() if value is not msgspec.UNSET}
