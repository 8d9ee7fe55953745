"""Says in which settings a new config.yaml allows more than the one before, and which of these are mere absences.

Which way of a key allows more stands beside it in config.schema.json, as ``looser``: "higher", "lower", or the words of
an enumeration from the strictest to the loosest. A key without it allows neither more nor less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fsm.config.schema import config_schema
from fsm.config.settings import Settings
from rules.looseness import Loosening

Path = tuple[str, ...]
HIGHER, LOWER = "higher", "lower"


def loosenings(old: Settings, new: Settings, *, was_given: Any, is_given: Any) -> tuple[Loosening, ...]:
    """Every setting in which ``new`` allows more than ``old``; the two ``given`` are what the files themselves say.

    Values that a symbol takes over from all symbols count as its own.
    """
    before, after = dict(_effective(old)), dict(_effective(new))
    found = [*_of_lists(old, new)]
    for path, value in after.items():
        was = before.get(path, False if path[-1] == "enabled" else value)
        if _allows_more(direction(path), was, value):
            vanished = _is_given(was_given, path) and not _is_given(is_given, path)
            found.append(Loosening(".".join(path), was, value, vanished=vanished))
    return tuple(found)


def _of_lists(old: Settings, new: Settings) -> Iterator[Loosening]:
    """A rule in place of names chooses symbols that nobody named. What is excluded no longer stood in the file and does
    not any more, so it waits like everything that vanishes."""
    before, after = old.list_rule, new.list_rule
    if after is None:
        return
    if before is None:
        yield Loosening("symbols.top_by", None, after.top_by, vanished=False)
        return
    for name in before.exclude:
        if name not in after.exclude:
            yield Loosening(f"symbols.exclude.{name}", True, False, vanished=True)


def direction(path: Path) -> Any:
    """The ``looser`` of a key of the schema, or None."""
    node: Any = config_schema()
    for step in path:
        inner = node.get("properties", {}).get(step)
        node = node.get("additionalProperties", {}) if inner is None else inner
    return node.get("looser") if isinstance(node, Mapping) else None


def _effective(settings: Settings) -> Iterator[tuple[Path, Any]]:
    """Each key's value as it holds: nothing stands for a value that is taken from elsewhere."""
    plain = settings.plain()
    plain["market_data"]["candle_age_ms_max"] = settings.candle_age_ms_max
    for own in (plain["symbols"][name] for name in settings.symbols):
        if settings.symbol_list is not None:
            del own["enabled"]  # it enables nothing there: the rule chooses
        if own["leverage"] is None:
            own["leverage"] = plain["account"]["leverage"]
        if own["risk_per_trade_pct"] is None:
            own["risk_per_trade_pct"] = plain["risk"]["risk_per_trade_pct"]
    yield from _leaves(plain, ())


def _leaves(node: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path, node


def _allows_more(looser: Any, old: Any, new: Any) -> bool:
    if looser is None or old == new:
        return False
    if old is None or new is None:
        return new is None  # a cap that is not there allows whatever others allow
    if looser == HIGHER:
        return bool(new > old)
    if looser == LOWER:
        return bool(new < old)
    words = [str(word).lower() for word in looser]
    return words.index(str(new).lower()) > words.index(str(old).lower())


def _is_given(node: Any, path: Path) -> bool:
    for step in path:
        if not isinstance(node, Mapping) or step not in node:
            return False
        node = node[step]
    return True
