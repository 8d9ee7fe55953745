"""Checks what parts of a rules file say of one another: ids, sides, regimes, router, and what single symbols change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from rules.language.syntax import names_in, parse
from rules.source.outline import SIDES, KeyPath, at, condition_lists, conditions_at, mapping, sequence, slots
from rules.source.short_forms import ALWAYS, NO_TRADE, regimes_in, routes_in
from rules.source.yaml_source import Problem, Source


class ReferenceChecks:
    """``data`` is the file's, with its numbers worked out; complaints are added to ``problems``."""

    def __init__(self, source: Source, data: Any, problems: list[Problem]) -> None:
        self._source = source
        self._data = data
        self._problems = problems

    def run(self) -> None:
        """Everything that is named must be there, and named once."""
        self._ids()
        self._sides()
        self._regimes()
        self._router()
        self._symbols()

    def reference(self, path: KeyPath, name: Any, known: Iterable[str], what: str, *, key: bool = False) -> None:
        """Complains if ``name`` is text and none of what is known."""
        names = list(known)
        if isinstance(name, str) and name not in names:
            self._complain(path, f"{what} is called {name}{hint(name, names)}", key=key)

    def _complain(self, path: KeyPath, message: str, *, key: bool = False) -> None:
        self._problems.append(self._source.problem(path, message, key=key))

    def _ids(self) -> None:
        for path in condition_lists(self._data):
            seen: set[str] = set()
            for place, condition in conditions_at(self._data, path):
                name = condition.get("id")
                if isinstance(name, str) and name in seen:
                    self._complain((*place, "id"), f"the id {name} is used twice in this list")
                seen.add(str(name))

    def _regimes(self) -> None:
        """Wherever regimes are named, they must be there; ALWAYS and NO_TRADE are no names of one's own."""
        regimes = regimes_in(self._data)
        for name in regimes:
            if name in (ALWAYS, NO_TRADE):
                meaning = "where no regimes are told apart" if name == ALWAYS else "what is left when none holds"
                self._complain(("regimes", name), f"{name} is {meaning}: choose another name", key=True)
        for part in ("exclusive", "priority"):
            for index, name in enumerate(sequence(at(self._data, "regimes", part))):
                self.reference(("regimes", part, index), name, regimes, "no regime")
        known = regimes if "regimes" in mapping(self._data) else {ALWAYS: None}
        for regime in mapping(at(self._data, "router")):
            if regime != "cooldown":
                self.reference(("router", regime), regime, known, "no regime", key=True)
        for symbol, override in mapping(at(self._data, "symbols")).items():
            for regime in mapping(at(override, "router")):
                path: KeyPath = ("symbols", symbol, "router", regime)
                self.reference(path, regime, routes_in(self._data), "no regime in router", key=True)

    def _router(self) -> None:
        strategies = mapping(at(self._data, "strategies"))
        for regime, routes in routes_in(self._data).items():
            written = at(self._data, "router", regime)
            seen: set[str] = set()
            for index, route in enumerate(routes):
                path: KeyPath = ("router", regime, index) if isinstance(written, list) else ("router", regime)
                path = (*path, "strategy") if isinstance(at(self._data, *path), dict) else path
                name = route.get("strategy")
                self.reference(path, name, strategies, "no strategy")
                if str(name) in seen:
                    self._complain(path, f"{name} is named twice: the second time it has nothing left to trade")
                seen.add(str(name))
            if written is None and len(strategies) > 1 and regime == ALWAYS:
                first = ", ".join(strategies)
                message = f"which strategy comes first? Say so with router: {{{ALWAYS}: [{first}]}}"
                self._complain(("strategies",), message, key=True)

    def _sides(self) -> None:
        for name, strategy in mapping(at(self._data, "strategies")).items():
            if isinstance(strategy, dict) and not set(SIDES) & set(strategy):
                message = f"{name} has neither a long nor a short side: it could never trade"
                self._complain(("strategies", name), message, key=True)

    def _symbols(self) -> None:
        for symbol, override in mapping(at(self._data, "symbols")).items():
            for section, what in (("thresholds", "threshold"), ("choices", "choice"), ("strategies", "strategy")):
                declared = mapping(at(self._data, section))
                for name in mapping(at(override, section)):
                    self.reference(("symbols", symbol, section, name), name, declared, f"no {what}", key=True)
            for name, use in mapping(at(override, "choices")).items():
                options = mapping(at(self._data, "choices", name, "options"))
                if options:
                    self.reference(("symbols", symbol, "choices", name), use, options, "no option")


def unknown_others(source: Source, known: Collection[str], config: str) -> Iterator[Problem]:
    """Symbols of which a feature is named and that are not known; ``config`` is where one can be made known."""
    for slot in slots(source.data):
        for name in names_in(parse(slot.text)):
            if name.symbol and name.symbol not in known:
                near = get_close_matches(name.symbol, known, n=1, cutoff=0.6)
                meant = f"did you mean {near[0]}?" if near else "is it spelled as Binance writes it?"
                message = f"{name.symbol} is in no list of symbols that is at hand: {meant} If it is right, "
                message += f"name it in {config}, with enabled: false where it is not to be traded"
                yield source.problem(slot.path, message, offset=name.column)


def hint(name: str, known: Iterable[str]) -> str:
    """What may have been meant by a name that is not known."""
    names = list(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known are {', '.join(names[:12])}{' …' if len(names) > 12 else ''}" if names else ""
