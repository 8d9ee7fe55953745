"""What a rules file says, as frozen values: the content that has passed the schema, without comments and places."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from rules.numbers_written import number_slots, with_numbers
from rules.source.short_forms import in_full

RAREST_FIRST = ("BREAKOUT", "TREND", "RANGE")
"""Of the regimes that come with the bot, the one that is seen least is taken first."""


class AlternativeDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
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


class RampDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``value`` scores 0 at ``zero_at`` and 1 at ``full_at`` (numbers or thresholds), linearly between, clamped."""

    value: str
    zero_at: float | str
    full_at: float | str


class RegimeDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Without ``stay`` a regime goes on as long as it could begin; without ``confidence`` it is always sure."""

    enter: ConditionList
    stay: ConditionList = ()
    confidence: tuple[RampDefinition, ...] = ()

    @property
    def stays(self) -> ConditionList:
        return self.stay or self.enter


class RegimesDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``priority``: which regime is taken of several that are equally sure; those it does not name come last, in the
    order of ``RAREST_FIRST`` and then of the alphabet, as the order of keys means nothing."""

    timeframe: str = "entry"
    confirmations: int = 1
    override_confidence: float | None = None
    dwell_candles: int = 0
    exclusive: tuple[str, ...] = ()
    priority: tuple[str, ...] = ()
    regimes: dict[str, RegimeDefinition] = {}

    def named(self) -> dict[str, RegimeDefinition]:
        """Every regime, the one first that is taken of equals."""
        return {name: self.regimes[name] for name in sorted(self.regimes, key=self._place)}

    def _place(self, name: str) -> tuple[int, str]:
        order = (*self.priority, *(rare for rare in RAREST_FIRST if rare not in self.priority))
        return order.index(name) if name in order else len(order), name


class TargetDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    price: str
    portion: float


class SideDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Without ``targets`` no order takes profit: the exits, the trail and the stop end a trade."""

    setup: ConditionList
    stop: str
    targets: tuple[TargetDefinition, ...] = ()
    accept: ConditionList = ()
    trail: str | None = None
    exit_when: ConditionList = ()


HIGHER_ALLOWS_MORE = msgspec.Meta(extra={"allows_more": "higher"})
LOWER_ALLOWS_MORE = msgspec.Meta(extra={"allows_more": "lower"})
"""Of a key: which change of it waits for the operator's word (rules/looseness.py)."""


class ManageDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``break_even_*`` in multiples of the trade's first risk; candles of the entry timeframe. None = not done."""

    break_even_at_r: Annotated[float | None, HIGHER_ALLOWS_MORE] = None
    break_even_lock_r: Annotated[float, LOWER_ALLOWS_MORE] = 0.0
    exit_after_candles: Annotated[int | None, HIGHER_ALLOWS_MORE] = None
    exit_on_opposite: Annotated[bool, LOWER_ALLOWS_MORE] = False
    exit_on_regime_end: Annotated[bool, LOWER_ALLOWS_MORE] = False


class LimitsDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What holds for a strategy beside config.yaml, where it is stricter."""

    max_open_positions: int | None = None
    max_open_risk_pct: float | None = None


class CooldownDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    losses: int
    candles: int


class StrategyDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``risk`` is a factor of what config.yaml risks in a trade, at most 1."""

    enabled: bool = True
    risk: float = 1.0
    reward_risk_min: float = 0.0
    long: SideDefinition | None = None
    short: SideDefinition | None = None
    manage: ManageDefinition = ManageDefinition()
    limits: LimitsDefinition = LimitsDefinition()
    cooldown: CooldownDefinition | None = None

    def sides(self) -> dict[str, SideDefinition]:
        return {name: side for name, side in (("long", self.long), ("short", self.short)) if side is not None}


class ChoiceDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A name that stands for one of several expressions."""

    use: str
    options: dict[str, str]


class SessionDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Times of the day in UTC, as ``08:30``; ``days`` on which it begins, Monday is 1."""

    begins: str = msgspec.field(name="from")
    ends: str = msgspec.field(name="to")
    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)


class RangeDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Between which numbers a search may vary a threshold, and in which steps; None is any number between."""

    range: tuple[float, float]
    step: float | None = None


class RouteDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    strategy: str
    enabled: bool = True


class RouterDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The strategies of each regime, the first one first; a regime that is not named trades nothing."""

    routes: dict[str, tuple[RouteDefinition, ...]] = {}
    cooldown: CooldownDefinition | None = None


class RouteOverride(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    enabled: bool


class ManageOverride(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a symbol says differently; UNSET = as for all others, None = not done."""

    break_even_at_r: float | msgspec.UnsetType | None = msgspec.UNSET
    break_even_lock_r: float | msgspec.UnsetType = msgspec.UNSET
    exit_after_candles: int | msgspec.UnsetType | None = msgspec.UNSET
    exit_on_opposite: bool | msgspec.UnsetType = msgspec.UNSET
    exit_on_regime_end: bool | msgspec.UnsetType = msgspec.UNSET


class StrategyOverride(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    risk: float | msgspec.UnsetType = msgspec.UNSET
    reward_risk_min: float | msgspec.UnsetType = msgspec.UNSET
    manage: ManageOverride = ManageOverride()


class SymbolDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one symbol does differently from the rest of the file."""

    thresholds: dict[str, float] = {}
    choices: dict[str, str] = {}
    router: dict[str, RouteOverride] = {}
    strategies: dict[str, StrategyOverride] = {}


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Without ``regimes`` one holds at every candle, which is called ALWAYS."""

    version: int
    timeframes: dict[str, str]
    features: dict[str, dict[str, str | int | float]]
    strategies: dict[str, StrategyDefinition]
    router: RouterDefinition
    regimes: RegimesDefinition | None = None
    thresholds: dict[str, float] = {}
    choices: dict[str, ChoiceDefinition] = {}
    define: dict[str, str] = {}
    sessions: dict[str, SessionDefinition] = {}
    symbols: dict[str, SymbolDefinition] = {}
    ranges: dict[str, RangeDefinition] = {}
    written: dict[str, Any] = {}

    @classmethod
    def of(cls, data: Any, symbol: str = "") -> Definition:
        """The definition in data that has passed the schema, with its numbers as they are for a symbol; ``written``
        is that data."""
        ranges = {name: each for name, each in data.get("thresholds", {}).items() if isinstance(each, dict)}
        ranges = {name: {key: each[key] for key in ("range", "step") if key in each} for name, each in ranges.items()}
        return msgspec.convert({**in_full(with_numbers(data, symbol)), "ranges": ranges, "written": data}, cls)

    @property
    def named_regimes(self) -> dict[str, RegimeDefinition]:
        """Every regime that is told apart, the one first that is taken of equals."""
        return self.regimes.named() if self.regimes is not None else {}

    def for_symbol(self, symbol: str) -> Definition:
        """The definition with the symbol's own values filled in, and no overrides left."""
        override = self.symbols.get(symbol, SymbolDefinition())
        if override.thresholds and any(True for _ in number_slots(self.written)):
            return Definition.of(self.written, symbol)._with(override)
        return self._with(override)

    def _with(self, override: SymbolDefinition) -> Definition:
        choices = {
            name: msgspec.structs.replace(choice, use=override.choices.get(name, choice.use))
            for name, choice in self.choices.items()
        }
        strategies = {
            name: _overridden(strategy, override.strategies.get(name)) for name, strategy in self.strategies.items()
        }
        routes = {
            regime: _switched(routes, override.router.get(regime)) for regime, routes in self.router.routes.items()
        }
        return msgspec.structs.replace(
            self,
            thresholds={**self.thresholds, **override.thresholds},
            choices=choices,
            strategies=strategies,
            router=msgspec.structs.replace(self.router, routes=routes),
            symbols={},
        )


def _switched(routes: tuple[RouteDefinition, ...], override: RouteOverride | None) -> tuple[RouteDefinition, ...]:
    if override is None:
        return routes
    return tuple(msgspec.structs.replace(route, enabled=override.enabled) for route in routes)


def _overridden(strategy: StrategyDefinition, override: StrategyOverride | None) -> StrategyDefinition:
    if override is None:
        return strategy
    manage = msgspec.structs.replace(strategy.manage, **_given(override.manage))
    given = {name: value for name, value in _given(override).items() if name != "manage"}
    return msgspec.structs.replace(strategy, **given, manage=manage)


def _given(override: ManageOverride | StrategyOverride) -> dict[str, Any]:
    given = msgspec.structs.asdict(override)
    return {name: value for name, value in given.items() if value is not msgspec.UNSET}
