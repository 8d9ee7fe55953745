"""The rules as they hold for one symbol: everything compiled, with that symbol's own values filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from indicators.candle import Timeframe
from rules.conditions import Condition, Conditions
from rules.definition import (
    ConditionList,
    Definition,
    RegimeDefinition,
    RegimesDefinition,
    RouteDefinition,
    SideDefinition,
    StrategyDefinition,
)
from rules.features import CandlesRead, Feature, OtherCandles, feature_of, timeframe_of
from rules.language.scalar import Facts
from rules.language.syntax import Node, Number, fill, names_in, parse
from rules.lowering import Lowering
from rules.moment_words import FUNDING, MOMENT_WORDS, PREMIUM, premium
from rules.moments import CLOCK, SESSIONS, Session, minute_of
from rules.regime import Classifier, Ramp, RegimeRule, RegimeState, RegimeTrace
from rules.regime_words import REGIME_NUMBERS, value_of
from rules.source.short_forms import ALWAYS, NO_TRADE
from rules.strategy import (
    Cooldown,
    Limits,
    Management,
    Price,
    Reason,
    SideName,
    SideRules,
    SignalReading,
    Strategy,
)

LOCAL_NAMES = ("entry", "stop", "risk", "candles_held")
"""Names that rules may use without declaring them, where there is a trade to speak of."""


class Route(msgspec.Struct, frozen=True):
    """Which strategies a regime calls for, in their order; none where nothing may trade, and ``reason`` says why."""

    strategies: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class CompiledRules:
    """What the engine asks. Build it with ``compile_rules``."""

    entry_timeframe: Timeframe
    features: Mapping[str, Feature]
    classifier: Classifier
    strategies: Mapping[str, Strategy]
    routes: Mapping[str, Route]
    cooldown: Cooldown | None
    regime_words: tuple[str, ...] = ()
    """What strategies ask of the regime in force, sorted (regime_words.py)."""
    moment_words: tuple[str, ...] = ()
    """What they ask of the moment of a decision, sorted (moment_words.py)."""

    @property
    def regime_timeframe(self) -> Timeframe:
        return self.classifier.timeframe

    @property
    def regime_fact_keys(self) -> tuple[str, ...]:
        """What the classifier reads, sorted."""
        return self.classifier.fact_keys

    def strategy_fact_keys(self, strategy: str) -> tuple[str, ...]:
        """What a strategy reads, for signals and for open trades, sorted."""
        return self.strategies[strategy].fact_keys

    @cached_property
    def fact_keys(self) -> tuple[str, ...]:
        """Everything that any expression reads, sorted; ``close_1h[1]`` is the value one candle ago."""
        keys = set(self.regime_fact_keys)
        for strategy in self.strategies.values():
            keys.update(strategy.fact_keys)
        return tuple(sorted(keys))

    @cached_property
    def candles(self) -> frozenset[CandlesRead]:
        """All candles that are needed, of this symbol and of others."""
        used = {self.features[feature_name(key)].candles for key in self.fact_keys}
        return frozenset({self.entry_timeframe, self.regime_timeframe, *used})

    @cached_property
    def timeframes(self) -> frozenset[Timeframe]:
        """The timeframes of which the symbol's own candles are needed."""
        return frozenset(read for read in self.candles if isinstance(read, Timeframe))

    @cached_property
    def others(self) -> tuple[OtherCandles, ...]:
        """The candles of other symbols that are needed, in order."""
        found = (read for read in self.candles if isinstance(read, OtherCandles))
        return tuple(sorted(found, key=lambda read: (read.symbol, read.ms)))

    def reads_as(self, other: CompiledRules) -> bool:
        """Whether both read the same values of the same features over the same candles, whatever they make of them."""
        return self._reading == other._reading

    def classifies_as(self, other: CompiledRules) -> bool:
        """Whether both tell the regime in the same way, by the same features."""
        return self._classifying == other._classifying

    @property
    def _classifying(self) -> tuple[object, ...]:
        used = {key: self.features[feature_name(key)] for key in self.regime_fact_keys}
        return self.classifier.meaning, used

    @property
    def _reading(self) -> tuple[object, ...]:
        used = {key: self.features[feature_name(key)] for key in self.fact_keys}
        return self.entry_timeframe, self.candles, used

    def classify(self, facts: Facts, state: RegimeState, candle_ms: int) -> RegimeState:
        """The regime after the entry candle that opened at ``candle_ms`` has closed; see regime.py for how.

        Ask at every entry candle: where no candle of the regime timeframe closed, the state comes back as it was.
        """
        return self.classifier.classify(facts, state, candle_ms)

    def explain_regime(self, facts: Facts, state: RegimeState) -> tuple[RegimeTrace, ...]:
        """Each regime's conditions with their numbers, the regime in force first."""
        traces = self.classifier.trace(facts)
        return tuple(sorted(traces, key=lambda trace: trace.regime != state.regime))

    def with_regime(self, facts: Facts, state: RegimeState) -> dict[str, float | None]:
        """The facts, and of the regime in force what strategies ask."""
        return {**facts, **{word: value_of(word, state) for word in self.regime_words}}

    def of_moment(self, *, mark: float, last: float, funding_rate: float | None) -> dict[str, float | None]:
        """What strategies ask of the moment of a decision."""
        values = {PREMIUM: premium(mark, last), FUNDING: funding_rate}
        return {word: values[word] for word in self.moment_words}

    def route(self, regime: str) -> Route:
        """The strategies that may trade in this regime. Pauses and cooldown are the engine's."""
        return self.routes.get(regime, Route((), "NO_TRADE_REGIME"))

    def seek(self, route: Route, facts: Facts, *, traced: bool = True) -> SignalReading | None:
        """The first signal of a regime's strategies in their order; without one, what keeps the first of those back
        that had a setup, or else the first of all. None where there is no strategy."""
        readings: list[SignalReading] = []
        for strategy in route.strategies:
            reading = self.seek_signal(strategy, facts, traced=traced)
            if reading.side is not None:
                return reading
            readings.append(reading)
        telling = [reading for reading in readings if reading.reason is not Reason.NO_SETUP]
        return next(iter((*telling, *readings)), None)

    def seek_signal(self, strategy: str, facts: Facts, *, traced: bool = True) -> SignalReading:
        return self.strategies[strategy].seek_signal(facts, traced=traced)

    def manage(
        self,
        strategy: str,
        side: SideName,
        facts: Facts,
        *,
        entry: float,
        stop: float,
        risk: float,
        candles_held: int,
        regime_ended: bool = False,
        traced: bool = True,
    ) -> Management:
        return self.strategies[strategy].manage(
            side,
            facts,
            entry=entry,
            stop=stop,
            risk=risk,
            candles_held=candles_held,
            regime_ended=regime_ended,
            traced=traced,
        )


def feature_name(key: str) -> str:
    """The feature that a fact's key belongs to: ``close_1h[1]`` → ``close_1h``."""
    return key.rpartition("[")[0] if key.endswith("]") else key


def feature_offset(key: str) -> int:
    """How many candles ago the fact is: ``close_1h[1]`` → 1, ``close_1h`` → 0."""
    return int(key.rpartition("[")[2].rstrip("]")) if key.endswith("]") else 0


def entry_feature(features: Mapping[str, Feature], entry_timeframe: Timeframe) -> str | None:
    """The feature that holds the entry price: the close of the entry timeframe (the first one declared)."""
    for feature in features.values():
        if feature.indicator and feature.indicator.name == "close" and feature.timeframe is entry_timeframe:
            return feature.name
    return None


def compile_rules(definition: Definition) -> CompiledRules:
    """The rules of a definition without overrides (``Definition.for_symbol``) that has passed every check."""
    return _Compiling(definition).rules()


def meant(aliases: Mapping[str, Node], numbers: Mapping[str, Node]) -> dict[str, Node]:
    """Numbers, and what every choice and definition stands for once all that it uses is filled in. They may use each
    other, but none itself."""
    found = dict(numbers)

    def resolve(name: str) -> None:
        if name in found:
            return
        node = aliases[name]
        for used in names_in(node):
            if used.name in aliases:
                resolve(used.name)
        found[name] = fill(node, found)

    for name in aliases:
        resolve(name)
    return found


class _Compiling:
    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        numbers: dict[str, Node] = {name: Number(value, name) for name, value in definition.thresholds.items()}
        chosen = {name: choice.options[choice.use] for name, choice in definition.choices.items()}
        self._values = meant({name: parse(text) for name, text in (chosen | definition.define).items()}, numbers)
        self._entry_timeframe = timeframe_of("entry", definition.timeframes)
        self._features = {
            name: feature_of(name, written, definition.timeframes) for name, written in definition.features.items()
        }
        sessions = {
            name: Session(minute_of(each.begins), minute_of(each.ends), each.days)
            for name, each in definition.sessions.items()
        }
        clock: dict[str, Session | None] = {**SESSIONS, **dict.fromkeys(CLOCK), **sessions}
        self._lowering = Lowering(self._features, clock, self._entry_timeframe)
        self._regime_words = {*REGIME_NUMBERS, *definition.named_regimes, NO_TRADE}
        self._regime_words.difference_update(self._features, self._values)
        self._moment_words = set(MOMENT_WORDS).difference(self._features, self._values)
        self._words_used: set[str] = set()
        entry_key = entry_feature(self._features, self._entry_timeframe)
        assert entry_key is not None, "checked in meaning.py"
        self._entry_key = entry_key

    def rules(self) -> CompiledRules:
        definition = self._definition
        routes = {regime: self._route(routes) for regime, routes in definition.router.routes.items()}
        strategies = {name: self._strategy(name, strategy) for name, strategy in definition.strategies.items()}
        cooldown = definition.router.cooldown
        return CompiledRules(
            entry_timeframe=self._entry_timeframe,
            features=self._features,
            classifier=self._classifier(),
            strategies=strategies,
            routes=routes,
            cooldown=Cooldown(cooldown.losses, cooldown.candles) if cooldown else None,
            regime_words=tuple(sorted(self._words_used & self._regime_words)),
            moment_words=tuple(sorted(self._words_used & self._moment_words)),
        )

    def _route(self, routes: Sequence[RouteDefinition]) -> Route:
        strategies = self._definition.strategies
        enabled = tuple(route.strategy for route in routes if route.enabled and strategies[route.strategy].enabled)
        return Route(enabled, "ROUTED" if enabled else "STRATEGY_DISABLED")

    def _classifier(self) -> Classifier:
        regimes = self._definition.regimes or RegimesDefinition()
        rules = tuple(self._regime(name, regime) for name, regime in regimes.named().items())
        if self._definition.regimes is None:
            rules = (RegimeRule(ALWAYS, Conditions(()), Conditions(()), ()),)
        keys = sorted({key for rule in rules for key in rule.fact_keys()})
        return Classifier(
            rules=rules,
            timeframe=timeframe_of(regimes.timeframe, self._definition.timeframes),
            entry_timeframe=self._entry_timeframe,
            confirmations=regimes.confirmations,
            override_confidence=regimes.override_confidence,
            dwell_candles=regimes.dwell_candles,
            fact_keys=tuple(keys),
        )

    def _regime(self, name: str, definition: RegimeDefinition) -> RegimeRule:
        ramps = tuple(
            Ramp.of(ramp.value, self._node(ramp.value), self._number(ramp.zero_at), self._number(ramp.full_at))
            for ramp in definition.confidence
        )
        return RegimeRule(name, self._conditions(definition.enter), self._conditions(definition.stays), ramps)

    def _strategy(self, name: str, definition: StrategyDefinition) -> Strategy:
        sides = tuple(self._side(side, written) for side, written in definition.sides().items())
        keys = {self._entry_key}.union(*(side.fact_keys() for side in sides)).difference(LOCAL_NAMES)
        words = keys & (self._regime_words | self._moment_words)
        self._words_used |= words
        keys -= words
        return Strategy(
            name=name,
            sides=sides,
            reward_risk_min=definition.reward_risk_min,
            upkeep=definition.manage,
            risk=definition.risk,
            limits=Limits(definition.limits.max_open_positions, definition.limits.max_open_risk_pct),
            cooldown=Cooldown(definition.cooldown.losses, definition.cooldown.candles) if definition.cooldown else None,
            entry_key=self._entry_key,
            fact_keys=tuple(sorted(keys)),
        )

    def _side(self, side: str, definition: SideDefinition) -> SideRules:
        return SideRules(
            side="LONG" if side == "long" else "SHORT",
            setup=self._conditions(definition.setup),
            stop=self._price(definition.stop),
            targets=tuple((self._price(target.price), target.portion) for target in definition.targets),
            accept=self._conditions(definition.accept) if definition.accept else None,
            trail=self._price(definition.trail) if definition.trail is not None else None,
            exit_when=self._conditions(definition.exit_when) if definition.exit_when else None,
        )

    def _conditions(self, entries: ConditionList) -> Conditions:
        groups = [
            tuple(Condition.of(one.id, one.when, self._node(one.when)) for one in entry.alternatives)
            for entry in entries
        ]
        return Conditions(tuple(groups))

    def _price(self, text: str) -> Price:
        return Price.of(text, self._node(text))

    def _node(self, text: str) -> Node:
        return self._lowering.lowered(fill(parse(text), self._values))

    def _number(self, written: float | str) -> float:
        return self._definition.thresholds[written] if isinstance(written, str) else written
