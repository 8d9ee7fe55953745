"""Runs one variant over some spans: rules written anew, evaluated over what was read once, and the figures kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec

from fsm.backtest.ground import Ground, Request
from fsm.config import Settings
from fsm.optimise.goals import FIGURES
from fsm.optimise.made_markets import Recorded, made_market, recorded
from fsm.optimise.parameters import Point
from fsm.optimise.spans import Span
from fsm.search import Outcome, Prepared, evaluate, prepare
from rules.load import Ruleset, parse_rules
from rules.rewriting import rewritten
from rules.source.yaml_source import SourceError, parse_source


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a study keeps of a variant over a span: figures by the names of ``backtest --json``, and equity by day.

    ``returns`` is what equity made of each UTC day as a fraction, from the first on which anything could be traded.
    """

    figures: dict[str, int | float | None]
    returns: list[float]
    rules_hash: str


class Refused(msgspec.Struct, frozen=True):
    """Rules that no bot would load with these numbers; ``why`` is the first problem."""

    why: str


class Bench:
    """Everything that variants are tried on; one for each process. ``request`` has the rules as they are."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._prepared: Prepared | None = None
        self._recorded: Recorded | None = None
        self._spans: dict[Span, Prepared] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads rules and candles itself: what is made of them does not travel."""
        given = self.request
        rest = replace(given, rules=None)  # type: ignore[arg-type]  # filled in again on arrival
        return _arrived, (rest, given.rules.text, given.rules.name)

    @property
    def prepared(self) -> Prepared:
        """Raises BacktestError where the data cannot be used."""
        if self._prepared is None:
            self._prepared = prepare(self.request)
        return self._prepared

    @property
    def recorded(self) -> Recorded:
        """What made-up markets are made of."""
        if self._recorded is None:
            self._recorded = recorded(self.prepared)
        return self._recorded

    def standing_on(self, ground: Ground, real: Recorded) -> Bench:
        """The same where there are no files: everything that was read travels with it."""
        self._prepared, self._recorded = Prepared(self.request, ground), real
        return self

    def over(self, span: Span) -> Prepared:
        if span.made:
            made = made_market(self.prepared, self.recorded, span.made, span.seed)
            return made.over(span.from_ms, span.to_ms)
        if span not in self._spans:
            self._spans[span] = self.prepared.over(span.from_ms, span.to_ms)
        return self._spans[span]

    def variant(self, point: Point) -> Ruleset | Refused:
        """The rules with these numbers, having passed every check that an edit of the file has to pass."""
        rules = self.request.rules
        if not point:
            return rules
        try:
            return parse_rules(rewritten(parse_source(rules.text, rules.name), point), rules.name)
        except SourceError as error:
            return Refused(str(error.problems[0]))

    def kept(self, point: Point, spans: Iterable[Span]) -> dict[str, Kept] | Refused:
        """By the names of the spans. Raises BacktestError where the data cannot be used."""
        rules = self.variant(point)
        if isinstance(rules, Refused):
            return rules
        return {span.name: kept(self.outcome(rules, span), rules) for span in spans}

    def outcome(self, rules: Ruleset, span: Span) -> Outcome:
        """As `backtest --from A --to B` has it. Raises BacktestError."""
        return evaluate(self.over(span), rules, with_costs(self.request.config.settings, span.costs))


def with_costs(settings: Settings, times: int) -> Settings:
    """The same with fees and slippage several times as high."""
    assumed = settings.simulation
    dearer = msgspec.structs.replace(
        assumed,
        maker_fee_pct=assumed.maker_fee_pct * times,
        taker_fee_pct=assumed.taker_fee_pct * times,
        slippage_pct=assumed.slippage_pct * times,
    )
    return msgspec.structs.replace(settings, simulation=dearer)


def _arrived(request: Request, text: str, name: str) -> Bench:
    return Bench(replace(request, rules=parse_rules(text, name)))


def kept(outcome: Outcome, rules: Ruleset) -> Kept:
    return Kept(
        figures={name: outcome.figures[name] for name in FIGURES},
        returns=outcome.daily_returns,
        rules_hash=rules.hash,
    )
