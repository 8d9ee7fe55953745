"""Decides, by rules and by seed, which requests, events and triggers go wrong, and how."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec
from msgspec.structs import replace

from exchange.sim.server.lost_candles import LostCandles
from exchange.sim.server.presets import IMPLIED, PRESETS

Facts = Mapping[str, str | int | bool | None]


class FaultError(ValueError):
    """A rule that cannot be used; the message says which, where and why."""


class About(StrEnum):
    """What a rule is about."""

    REQUEST = "request"
    EVENT = "event"
    TRIGGER = "trigger"


class When(StrEnum):
    """When the fault comes, compared with what the request asks for (only for requests)."""

    BEFORE = "before"  # the client is answered first, what it asked for happens ``late_ms`` later (or is only delayed)
    AFTER = "after"  # what was asked for happens, then the answer goes wrong
    INSTEAD = "instead"  # nothing happens, only the answer


class Effect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong. The first group is for requests, the second for events, the third for triggers.

    ``limit_ms``, ``ban_ms``, ``firewall_ms`` and ``orders_ms`` refuse everything of their kind for so long: with 429,
    418, 403 and -1015. Each refusal makes it longer by ``grow_ms``; ``silent`` ones do not say until when. ``candles``
    are lost from answers of klines.
    """

    status: int | None = None
    body: object = None
    headers: dict[str, str] = {}
    latency_ms: int = 0
    drop: bool = False
    late_ms: int | None = None
    merge: dict[str, object] = {}
    candles: LostCandles | None = None
    previous_position: bool = False
    clock_jump_ms: int = 0
    limit_ms: int = 0
    ban_ms: int = 0
    firewall_ms: int = 0
    orders_ms: int = 0
    grow_ms: int = 0
    silent: bool = False

    duplicate: int = 0
    hold: int = 0
    expire_listen_key: bool = False
    cut_streams: bool = False

    reject: bool = False
    unfilled: bool = False

    @property
    def closes(self) -> bool:
        """True when it refuses more than one request: everything of a kind for a while."""
        return bool(self.limit_ms or self.ban_ms or self.firewall_ms or self.orders_ms)

    @property
    def answers(self) -> bool:
        """True when it has an answer of its own."""
        return self.status is not None or self.drop


_ALLOWED = {
    About.REQUEST: frozenset(
        {"status", "body", "headers", "latency_ms", "drop", "late_ms", "merge", "candles", "previous_position",
         "clock_jump_ms", "limit_ms", "ban_ms", "firewall_ms", "orders_ms", "grow_ms", "silent", "expire_listen_key",
         "cut_streams"}
    ),
    About.EVENT: frozenset({"drop", "duplicate", "hold", "merge", "clock_jump_ms", "expire_listen_key", "cut_streams"}),
    About.TRIGGER: frozenset({"reject", "unfilled"}),
}  # fmt: skip


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of them: all that is given must hold. Texts may have ``*`` and ``?``.

    ``type`` is that of the order, ``reducing`` whether it can only make a position smaller. ``order_age_ms_max``: the
    order that is asked for was placed at most so long ago. ``nth`` counts those that match everything else from 1;
    ``every`` takes each so-manieth of them. Times are simulated.
    """

    method: str | None = None
    path: str | None = None
    symbol: str | None = None
    type: str | None = None
    side: str | None = None
    client_id: str | None = None
    reducing: bool | None = None
    order_age_ms_max: int | None = None
    event: str | None = None
    execution: str | None = None
    status: str | None = None
    nth: int | list[int] | None = None
    every: int | None = None
    from_ms: int | None = None
    until_ms: int | None = None

    def holds(self, facts: Facts, now_ms: int) -> bool:
        """Everything but the counting."""
        if self.from_ms is not None and now_ms < self.from_ms:
            return False
        if self.until_ms is not None and now_ms >= self.until_ms:
            return False
        if self.reducing is not None and facts.get("reducing") is not self.reducing:
            return False
        if self.order_age_ms_max is not None:
            age_ms = facts.get("order_age_ms")
            if not isinstance(age_ms, int) or age_ms > self.order_age_ms_max:
                return False
        return all(_fits(getattr(self, name), facts.get(name)) for name in _TEXTS)

    def counts(self, number: int) -> bool:
        """Whether the so-manieth match is one that is meant."""
        if self.every is not None and number % self.every:
            return False
        if self.nth is None:
            return True
        return number in self.nth if isinstance(self.nth, list) else number == self.nth


_TEXTS = ("method", "path", "symbol", "type", "side", "client_id", "event", "execution", "status")


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault. ``effect`` is the name of a preset, or what goes wrong in detail (with ``preset`` as a start)."""

    effect: str | dict[str, object]
    name: str = ""
    about: About = About.REQUEST
    when: When = When.INSTEAD
    match: Match = Match()
    probability: float = 1.0
    times: int | None = None


@dataclass(slots=True)
class Armed:
    """A rule in force, and how often it has come to pass."""

    number: int
    rule: Rule
    effect: Effect
    matched: int = 0
    fired: int = 0


class Faults:
    """All rules in force, in the order they were given; the first that fires decides."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._armed: dict[int, Armed] = {}
        self._given = 0

    def armed(self) -> list[Armed]:
        return list(self._armed.values())

    def add(self, rule: Rule) -> int:
        """Arm a rule; returns its number. Raises FaultError."""
        effect = effect_of(rule)
        implied = IMPLIED.get(_preset_of(rule) or "", {})
        given = {name: getattr(rule.match, name) for name in implied if getattr(rule.match, name) is not None}
        rule = replace(rule, match=replace(rule.match, **{**implied, **given}))
        self._given += 1
        self._armed[self._given] = Armed(self._given, rule, effect)
        return self._given

    def remove(self, number: int | None = None) -> int:
        """Disarm one rule, or all; returns how many."""
        numbers = list(self._armed) if number is None else [number]
        return sum(self._armed.pop(found, None) is not None for found in numbers)

    def pick(self, about: About, facts: Facts, now_ms: int) -> Armed | None:
        """The fault that befalls this one. Every rule counts it, whichever fires."""
        found: Armed | None = None
        for armed in self._armed.values():
            rule = armed.rule
            if rule.about is not about or not rule.match.holds(facts, now_ms):
                continue
            armed.matched += 1
            if found is None and rule.match.counts(armed.matched) and self._happens(armed):
                found = armed
        if found is not None:
            found.fired += 1
        return found

    def _happens(self, armed: Armed) -> bool:
        rule = armed.rule
        if rule.times is not None and armed.fired >= rule.times:
            return False
        if rule.probability >= 1:
            return True
        digest = hashlib.sha256(f"{self.seed} {armed.number} {armed.matched}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64 < rule.probability


def effect_of(rule: Rule) -> Effect:
    """What a rule does, with its preset filled in. Raises FaultError for what makes no sense."""
    name = _preset_of(rule)
    if name is not None and name not in PRESETS:
        raise FaultError(f"effect: there is no preset {name!r}; known are {', '.join(sorted(PRESETS))}")
    given = {} if isinstance(rule.effect, str) else {key: rule.effect[key] for key in rule.effect if key != "preset"}
    fields = {**(PRESETS[name] if name is not None else {}), **given}
    try:
        effect = msgspec.convert(fields, Effect)
    except msgspec.ValidationError as error:
        raise FaultError(f"effect: {error}") from None
    if not fields:
        raise FaultError("effect: says nothing of what goes wrong")
    wrong = sorted(set(fields) - _ALLOWED[rule.about])
    if wrong:
        raise FaultError(f"effect: {', '.join(wrong)} means nothing for about: {rule.about}")
    _check_sense(rule, effect)
    return effect


def _preset_of(rule: Rule) -> str | None:
    name = rule.effect if isinstance(rule.effect, str) else rule.effect.get("preset")
    return None if name is None else str(name)


def _check_sense(rule: Rule, effect: Effect) -> None:
    if not 0 <= rule.probability <= 1:
        raise FaultError(f"probability: {rule.probability} is not between 0 and 1")
    if rule.about is not About.REQUEST:
        if rule.when is not When.INSTEAD:
            raise FaultError(f"when: only requests have a before and an after, not about: {rule.about}")
        return
    if effect.candles is not None and effect.candles.from_ms >= effect.candles.until_ms:
        raise FaultError("candles: from_ms must be before until_ms")
    if rule.when is When.BEFORE and effect.answers and effect.late_ms is None:
        raise FaultError("when: before, with an answer of its own, needs late_ms: how much later it happens after all")
    if effect.late_ms is not None and (rule.when is not When.BEFORE or not effect.answers):
        raise FaultError("late_ms: only with when: before and an answer of its own")


def merged(value: object, extra: object) -> object:
    """JSON with some of it replaced or added; into every row where it is a list."""
    if isinstance(value, list) and isinstance(extra, Mapping):
        return [merged(row, extra) for row in value]
    if isinstance(value, Mapping) and isinstance(extra, Mapping):
        return {**value, **{name: merged(value.get(name), part) for name, part in extra.items()}}
    return extra


def _fits(pattern: str | None, value: object) -> bool:
    return pattern is None or (isinstance(value, str) and fnmatchcase(value, pattern))
