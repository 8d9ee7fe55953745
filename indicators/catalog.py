"""The catalog: every indicator a rule may name, found by name and bound to checked parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from types import MappingProxyType

from indicators import (
    averages,
    bands,
    convergence,
    direction,
    dispersion,
    extremes,
    fields,
    flows,
    levels,
    momentum,
    oscillators,
    patterns,
    smoothing,
    trends,
    volatility,
)
from indicators.formula import fields_of
from indicators.indicator import (
    Domain,
    Indicator,
    IndicatorError,
    Parameter,
    Stream,
    Unit,
    UnknownParameter,
    domain_by_unit,
)
from indicators.series import FloatArray, Series
from indicators.workspace import Workspace

__all__ = [
    "CATALOG",
    "Domain",
    "Indicator",
    "IndicatorError",
    "Parameter",
    "ResolvedIndicator",
    "Stream",
    "Unit",
    "UnknownParameter",
    "Workspace",
    "describe",
    "domain_by_unit",
    "example",
    "resolve",
]

ROOMS = (
    *(fields, averages, momentum, volatility, bands, direction, extremes, patterns),
    *(smoothing, convergence, oscillators, trends, dispersion, flows, levels),
)

CATALOG: Mapping[str, Indicator] = MappingProxyType({entry.name: entry for room in ROOMS for entry in room.ENTRIES})


@dataclass(frozen=True, slots=True)
class ResolvedIndicator:
    """An indicator with its parameters filled in and checked. Build it with ``resolve``."""

    indicator: Indicator
    params: Mapping[str, float]

    @property
    def name(self) -> str:
        return self.indicator.name

    @property
    def unit(self) -> Unit:
        return self.indicator.unit

    @property
    def warmup(self) -> int:
        """Number of candles after which the first value exists."""
        return self.indicator.warmup(**self.params)

    @property
    def domain(self) -> Domain:
        """The numbers that it can be at all."""
        domain = self.indicator.domain
        if domain is None:
            return domain_by_unit(self.unit)
        return domain if isinstance(domain, Domain) else domain(**self.params)

    @property
    def reads(self) -> tuple[str, ...]:
        """The fields of a candle that it needs."""
        formula = self.indicator.formula
        return self.indicator.reads if formula is None else fields_of(formula(**self.params))

    def stream(self) -> Stream:
        """A new live form that has seen no candle yet."""
        return self.indicator.stream(**self.params)

    def batch(self, source: Series | Workspace) -> FloatArray:
        """One value per candle, NaN where the live form has none; read-only.

        Pass one ``Workspace`` to several indicators over a series, and what they share is computed once.
        """
        workspace = source if isinstance(source, Workspace) else Workspace(source)
        key = (self.name, *self.params.items())
        return workspace.once(key, lambda: self.indicator.batch(workspace, **self.params))

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.params.items())})"


def resolve(name: str, params: Mapping[str, object] | None = None) -> ResolvedIndicator:
    """The indicator called ``name`` with ``params`` and its defaults for the rest. Raises ``IndicatorError``."""
    indicator = CATALOG.get(name)
    if indicator is None:
        near = get_close_matches(name, CATALOG, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(CATALOG)}"
        raise IndicatorError(f"no indicator is called {name!r}; {hint}")
    return ResolvedIndicator(indicator, MappingProxyType(indicator.checked(params or {})))


PERIOD_TRIED = 20
"""What stands in examples for a number of candles that has to be given."""


def example(entry: Indicator) -> ResolvedIndicator:
    """The indicator as one would first try it."""
    tried = {each.name: each.kind(each.default or PERIOD_TRIED) for each in entry.parameters}
    return ResolvedIndicator(entry, MappingProxyType(entry.checked(tried)))


def describe(entry: Indicator) -> dict[str, object]:
    """One entry as plain data: what it is, what it takes and needs, and how it is written."""
    tried = example(entry)
    lower, upper = tried.domain.lower, tried.domain.upper
    return {
        "name": entry.name,
        "summary": entry.summary,
        "unit": entry.unit.value,
        "lowest": None if lower == -inf else lower,
        "highest": None if upper == inf else upper,
        "parameters": [
            {
                "name": parameter.name,
                "kind": parameter.kind.__name__,
                "minimum": parameter.minimum,
                "maximum": parameter.maximum,
                "default": parameter.default,
                "doc": parameter.doc,
            }
            for parameter in entry.parameters
        ],
        "example": {"indicator": entry.name, "timeframe": "4h", **tried.params},
        "warmup_candles": tried.warmup,
        "may_be_unknown_after_warmup": entry.conditional,
        "reads": list(tried.reads),
    }
