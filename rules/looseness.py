"""Says in which places new rules allow more than the rules before them, and which of these are mere absences.

What an expression or a threshold allows cannot be ordered, so a changed one is not judged. What is judged: conditions,
exits, trails and rests that are gone, and the few numbers of which it is plain which way allows more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from rules.definition import (
    ConditionList,
    CooldownDefinition,
    Definition,
    ManageDefinition,
    SideDefinition,
    StrategyDefinition,
)


@dataclass(frozen=True, slots=True)
class Loosening:
    """One place in which an edit allows more; ``vanished``: what stood there is not in the new file at all."""

    path: str
    old: object
    new: object
    vanished: bool

    def __str__(self) -> str:
        return f"{self.path} {shown(self.old)} → {'not in the file: ' if self.vanished else ''}{shown(self.new)}"


def shown(value: object) -> str:
    """A value as it could stand in a YAML file."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def loosenings(old: Definition, new: Definition) -> tuple[Loosening, ...]:
    """Every place in which ``new`` plainly allows more than ``old``, for any symbol, each path once."""
    found: dict[str, Loosening] = {}
    for symbol in ("", *sorted({*old.symbols, *new.symbols})):
        for each in _between(old.for_symbol(symbol), new.for_symbol(symbol)):
            found.setdefault(each.path, each)
    for symbol in sorted(set(old.symbols) - set(new.symbols)):
        path = f"symbols.{symbol}"
        found[path] = Loosening(path, "values of its own", "those of all symbols", vanished=True)
    return tuple(found.values())


def _between(old: Definition, new: Definition) -> Iterator[Loosening]:
    yield from _regimes(old, new)
    yield from _router(old, new)
    for name, strategy in new.strategies.items():
        if name in old.strategies:
            yield from _strategy(f"strategies.{name}", old.strategies[name], strategy)


def _regimes(old: Definition, new: Definition) -> Iterator[Loosening]:
    before, after = old.regimes, new.regimes
    if before is None:
        return
    if after is None:
        yield Loosening("regimes", ", ".join(before.regimes), None, vanished=True)
        return
    yield from _lower("regimes.confirmations", before.confirmations, after.confirmations)
    never = math.inf  # None: no regime is sure enough to need no confirmations
    one, other = (never if each.override_confidence is None else each.override_confidence for each in (before, after))
    yield from _lower("regimes.override_confidence", one, other)
    yield from _lower("regimes.dwell_candles", before.dwell_candles, after.dwell_candles)
    for name, regime in after.regimes.items():
        if name in before.regimes:
            yield from _conditions(f"regimes.{name}.enter", before.regimes[name].enter, regime.enter)
            yield from _conditions(f"regimes.{name}.stay", before.regimes[name].stays, regime.stays)


def _router(old: Definition, new: Definition) -> Iterator[Loosening]:
    for regime, routes in new.router.routes.items():
        was = {route.strategy: route.enabled for route in old.router.routes.get(regime, ())}
        if any(route.enabled and not was.get(route.strategy, True) for route in routes):
            yield Loosening(f"router.{regime}.enabled", False, True, vanished=False)
    yield from _cooldown("router.cooldown", old.router.cooldown, new.router.cooldown)


def _cooldown(path: str, before: CooldownDefinition | None, after: CooldownDefinition | None) -> Iterator[Loosening]:
    if before is not None and after is None:
        told = f"{before.losses} losses, {before.candles} candles"
        yield Loosening(path, told, None, vanished=True)
    elif before is not None and after is not None:
        yield from _higher(f"{path}.losses", before.losses, after.losses)
        yield from _lower(f"{path}.candles", before.candles, after.candles)


def _strategy(path: str, old: StrategyDefinition, new: StrategyDefinition) -> Iterator[Loosening]:
    if new.enabled and not old.enabled:
        yield Loosening(f"{path}.enabled", False, True, vanished=False)
    yield from _higher(f"{path}.risk", old.risk, new.risk)
    yield from _higher(
        f"{path}.limits.max_open_positions", old.limits.max_open_positions, new.limits.max_open_positions
    )
    yield from _higher(f"{path}.limits.max_open_risk_pct", old.limits.max_open_risk_pct, new.limits.max_open_risk_pct)
    yield from _cooldown(f"{path}.cooldown", old.cooldown, new.cooldown)
    yield from _lower(f"{path}.reward_risk_min", old.reward_risk_min, new.reward_risk_min)
    for name, judged in _MANAGED.items():
        yield from judged(f"{path}.manage.{name}", getattr(old.manage, name), getattr(new.manage, name))
    for name, side in new.sides().items():
        if name in old.sides():
            yield from _side(f"{path}.{name}", old.sides()[name], side)


def _side(path: str, old: SideDefinition, new: SideDefinition) -> Iterator[Loosening]:
    yield from _conditions(f"{path}.setup", old.setup, new.setup)
    yield from _conditions(f"{path}.accept", old.accept, new.accept)
    yield from _exits(f"{path}.exit_when", old.exit_when, new.exit_when)
    if old.trail is not None and new.trail is None:
        yield Loosening(f"{path}.trail", old.trail, None, vanished=True)


def _conditions(path: str, old: ConditionList, new: ConditionList) -> Iterator[Loosening]:
    """All of a list must hold, so each one that is gone allows more. One that was renamed or reworded is not gone."""
    ids = {each.id for condition in new for each in condition.alternatives}
    texts = {each.when for condition in new for each in condition.alternatives}
    for condition in old:
        if not any(each.id in ids or each.when in texts for each in condition.alternatives):
            told = " or ".join(each.when for each in condition.alternatives)
            yield Loosening(f"{path}.{condition.alternatives[0].id}", told, None, vanished=True)


def _exits(path: str, old: ConditionList, new: ConditionList) -> Iterator[Loosening]:
    """An exit ends trades, so a list that is gone as a whole keeps them longer."""
    if old and not new:
        yield Loosening(path, " and ".join(each.when for c in old for each in c.alternatives), None, vanished=True)


def _higher(path: str, old: float | None, new: float | None) -> Iterator[Loosening]:
    """None is not done at all, which allows more than any number."""
    if old is not None and (new is None or new > old):
        yield Loosening(path, old, new, vanished=new is None)


def _lower(path: str, old: float, new: float) -> Iterator[Loosening]:
    if new < old:
        yield Loosening(path, old, new, vanished=False)


def _managed() -> dict[str, Callable[..., Iterator[Loosening]]]:
    """How each key of ``manage`` is judged, as its definition says."""
    by_direction = {"higher": _higher, "lower": _lower}
    fields = msgspec.inspect.type_info(ManageDefinition).fields  # type: ignore[attr-defined]
    return {field.name: by_direction[field.type.extra["allows_more"]] for field in fields}


_MANAGED = _managed()
