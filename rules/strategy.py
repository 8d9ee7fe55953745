"""Strategies: from facts to a signal with its entry, stop and targets, and to what is done while a trade is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Literal

import msgspec

from rules.conditions import Conditions, ConditionTrace
from rules.definition import ManageDefinition
from rules.language.scalar import Facts, Numeric, known, numeric
from rules.language.syntax import Node, names_in
from rules.language.truth import Truth

SideName = Literal["LONG", "SHORT"]


class Reason(StrEnum):
    """What became of looking for a signal, and why."""

    SIGNAL = "SIGNAL"
    NO_SETUP = "NO_SETUP"
    BOTH_SIDES = "BOTH_SIDES"  # the setups of both sides hold: the rules contradict each other, nothing is done
    UNKNOWN_FACTS = "UNKNOWN_FACTS"  # something that is needed is UNKNOWN
    STOP_WRONG_SIDE = "STOP_WRONG_SIDE"  # the stop is not on the losing side of the entry, or not above zero
    TARGET_WRONG_SIDE = "TARGET_WRONG_SIDE"  # a target is not on the winning side of the entry, or not above zero
    TARGETS_OUT_OF_ORDER = "TARGETS_OUT_OF_ORDER"  # a later target is nearer than an earlier one
    NOT_ACCEPTED = "NOT_ACCEPTED"  # a condition of `accept` does not hold for this entry, stop and risk
    REWARD_RISK_LOW = "REWARD_RISK_LOW"


class SideTrace(msgspec.Struct, frozen=True):
    """Why one side's setup holds or not; ``accept`` only where there was an entry and a stop to judge."""

    side: SideName
    result: Truth
    setup: tuple[ConditionTrace, ...]
    accept: tuple[ConditionTrace, ...] = ()


class SignalReading(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy sees in one set of facts.

    ``side`` is set only with the reason SIGNAL; ``wanted`` also says which side's setup held when the signal was then
    refused. Prices are unrounded; ``targets`` are (price, portion of the position), nearest first; portions sum to 1.
    ``reward_risk`` is the mean reward of the targets, weighted by portion, in multiples of ``risk`` = |entry - stop|;
    None without targets.
    """

    strategy: str
    reason: Reason
    side: SideName | None = None
    wanted: SideName | None = None
    entry: float | None = None
    stop: float | None = None
    risk: float | None = None
    targets: tuple[tuple[float, float], ...] = ()
    reward_risk: float | None = None
    traces: tuple[SideTrace, ...] = ()


class Management(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with an open trade after a candle.

    ``stop`` is set only if the stop should move, and then lies nearer to the profit than before; ``stop_reason`` says
    by which rule (BREAK_EVEN, TRAIL). ``exit_reason`` says that the trade should end now, and why: EXIT_WHEN (its
    conditions hold), REGIME_ENDED, OPPOSITE_SIGNAL, TRAIL_CROSSED (the price is already beyond the trail, so a stop
    there would have been hit) or EXIT_AFTER_CANDLES. ``traces`` are those of ``exit_when``.
    """

    stop: float | None = None
    stop_reason: str | None = None
    exit_reason: str | None = None
    traces: tuple[ConditionTrace, ...] = ()


@dataclass(frozen=True, slots=True)
class Price:
    """An expression that yields a price."""

    text: str
    node: Node
    calculate: Numeric

    @classmethod
    def of(cls, text: str, node: Node) -> Price:
        return cls(" ".join(text.split()), node, numeric(node))

    def fact_keys(self) -> set[str]:
        return {name.key for name in names_in(self.node)}


@dataclass(frozen=True, slots=True)
class SideRules:
    """One side of a strategy, compiled. ``sign`` is +1 for LONG and -1 for SHORT."""

    side: SideName
    setup: Conditions
    stop: Price
    targets: tuple[tuple[Price, float], ...]
    accept: Conditions | None
    trail: Price | None
    exit_when: Conditions | None

    @property
    def sign(self) -> int:
        return 1 if self.side == "LONG" else -1

    def fact_keys(self) -> set[str]:
        """What the side reads, local names included."""
        prices = (self.stop, self.trail, *(price for price, _ in self.targets))
        parts = (self.setup, self.accept, self.exit_when, *prices)
        return {key for part in parts if part is not None for key in part.fact_keys()}

    def gain(self, start: float, end: float) -> float:
        """How far ``end`` lies from ``start`` in this side's favour; negative if it went against it."""
        return end - start if self.side == "LONG" else start - end

    def beyond(self, start: float, distance: float) -> float:
        """The price that lies ``distance`` from ``start`` in this side's favour."""
        return start + distance if self.side == "LONG" else start - distance


class Cooldown(msgspec.Struct, frozen=True):
    """After ``losses`` losing trades in a row, no entry for ``candles`` candles of the entry timeframe."""

    losses: int
    candles: int


class Limits(msgspec.Struct, frozen=True):
    """Of a strategy's own, beside those of the account; None is no other."""

    max_open_positions: int | None = None
    max_open_risk_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Strategy:
    """One strategy, compiled. ``entry_key`` is the fact that holds the close of the entry timeframe; ``risk`` the part
    of what the account risks in a trade; ``upkeep`` what is done with open trades beside trail and ``exit_when``."""

    name: str
    sides: tuple[SideRules, ...]
    reward_risk_min: float
    upkeep: ManageDefinition
    entry_key: str
    risk: float
    limits: Limits
    cooldown: Cooldown | None
    fact_keys: tuple[str, ...]

    def seek_signal(self, facts: Facts, *, traced: bool = True) -> SignalReading:
        """Whether a trade should be opened at the close of this candle; ``traced``: with every condition's numbers."""
        traces = tuple(
            SideTrace(side.side, side.setup.truth(facts), side.setup.trace(facts) if traced else ())
            for side in self.sides
        )
        holding = [side for side, trace in zip(self.sides, traces, strict=True) if trace.result is Truth.TRUE]
        if len(holding) == 1:
            return self._plan(holding[0], facts, traces)
        if holding:
            reason = Reason.BOTH_SIDES
        elif any(trace.result is Truth.UNKNOWN for trace in traces):
            reason = Reason.UNKNOWN_FACTS
        else:
            reason = Reason.NO_SETUP
        return SignalReading(strategy=self.name, reason=reason, entry=known(facts.get(self.entry_key)), traces=traces)

    def manage(
        self,
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
        """What to do with an open trade: ``entry`` as filled, ``stop`` as it rests, ``risk`` = |entry - first stop|."""
        rules = self.side(side)
        local: dict[str, float | None] = {"entry": entry, "stop": stop, "risk": risk, "candles_held": candles_held}
        scene = {**facts, **local}
        traces = rules.exit_when.trace(scene) if rules.exit_when and traced else ()
        if rules.exit_when and rules.exit_when.truth(scene) is Truth.TRUE:
            return Management(exit_reason="EXIT_WHEN", traces=traces)
        if self.upkeep.exit_on_regime_end and regime_ended:
            return Management(exit_reason="REGIME_ENDED", traces=traces)
        if self.upkeep.exit_on_opposite and self.seek_signal(facts, traced=False).side not in (None, side):
            return Management(exit_reason="OPPOSITE_SIGNAL", traces=traces)
        moves = self._stop_moves(rules, scene, entry=entry, risk=risk)
        close = known(facts.get(self.entry_key))
        trail = moves.get("TRAIL")
        if trail is not None and close is not None and rules.gain(trail, close) <= 0:
            return Management(exit_reason="TRAIL_CROSSED", traces=traces)
        limit = self.upkeep.exit_after_candles
        if limit is not None and candles_held >= limit:
            return Management(exit_reason="EXIT_AFTER_CANDLES", traces=traces)
        name = max(moves, key=lambda move: rules.gain(entry, moves[move]), default=None)
        if name is None or rules.gain(stop, moves[name]) <= 0:
            return Management(traces=traces)
        return Management(stop=moves[name], stop_reason=name, traces=traces)

    def side(self, side: SideName) -> SideRules:
        """Raises LookupError if the strategy does not trade that side."""
        for rules in self.sides:
            if rules.side == side:
                return rules
        raise LookupError(f"{self.name} has no {side} side")

    def _stop_moves(
        self, rules: SideRules, scene: Mapping[str, float | None], *, entry: float, risk: float
    ) -> dict[str, float]:
        """Where the stop could go, by the rule that says so; nowhere while the close is UNKNOWN."""
        close = known(scene.get(self.entry_key))
        moves: dict[str, float] = {}
        if close is None:
            return moves
        at_r = self.upkeep.break_even_at_r
        if at_r is not None and rules.gain(entry, close) >= at_r * risk:
            moves["BREAK_EVEN"] = rules.beyond(entry, self.upkeep.break_even_lock_r * risk)
        trail = rules.trail.calculate(scene) if rules.trail else None
        if trail is not None:
            moves["TRAIL"] = trail
        return moves

    def _plan(self, rules: SideRules, facts: Facts, traces: tuple[SideTrace, ...]) -> SignalReading:
        """Entry, stop, targets and reward of the side whose setup holds, or the reason why they are no good."""
        entry = known(facts.get(self.entry_key))
        found = SignalReading(
            strategy=self.name, reason=Reason.UNKNOWN_FACTS, wanted=rules.side, entry=entry, traces=traces
        )
        if entry is None:
            return found
        scene = {**facts, "entry": entry}
        stop = rules.stop.calculate(scene)
        if stop is None:
            return found
        risk = rules.gain(stop, entry)
        found = msgspec.structs.replace(found, stop=stop, risk=risk)
        if not (entry > 0 and stop > 0 and risk > 0):
            return msgspec.structs.replace(found, reason=Reason.STOP_WRONG_SIDE)
        scene |= {"stop": stop, "risk": risk}
        prices = [price.calculate(scene) for price, _ in rules.targets]
        targets = tuple(
            (price, portion) for price, (_, portion) in zip(prices, rules.targets, strict=True) if price is not None
        )
        if len(targets) < len(prices):
            return found
        found = msgspec.structs.replace(found, targets=targets)
        return self._judged(rules, found, scene, entry=entry, risk=risk)

    def _judged(
        self, rules: SideRules, found: SignalReading, scene: Facts, *, entry: float, risk: float
    ) -> SignalReading:
        gains = [rules.gain(entry, price) for price, _ in found.targets]
        if any(gain <= 0 for gain in gains) or any(price <= 0 for price, _ in found.targets):
            return msgspec.structs.replace(found, reason=Reason.TARGET_WRONG_SIDE)
        if any(later <= earlier for earlier, later in pairwise(gains)):
            return msgspec.structs.replace(found, reason=Reason.TARGETS_OUT_OF_ORDER)
        reward = 0.0
        for gain, (_, portion) in zip(gains, found.targets, strict=True):
            reward += portion * gain
        reward_risk = known(reward / risk) if gains else None
        accepted = Truth.TRUE
        if rules.accept:
            accepted = rules.accept.truth(scene)
            trace = rules.accept.trace(scene)
            traces = tuple(
                msgspec.structs.replace(side, accept=trace) if side.side == rules.side else side
                for side in found.traces
            )
            found = msgspec.structs.replace(found, traces=traces)
        found = msgspec.structs.replace(found, reward_risk=reward_risk)
        if (gains and reward_risk is None) or accepted is Truth.UNKNOWN:
            return found
        if accepted is Truth.FALSE:
            return msgspec.structs.replace(found, reason=Reason.NOT_ACCEPTED)
        if reward_risk is not None and reward_risk < self.reward_risk_min:
            return msgspec.structs.replace(found, reason=Reason.REWARD_RISK_LOW)
        return msgspec.structs.replace(found, reason=Reason.SIGNAL, side=rules.side)
