"""Makes the list of symbols that are traded by a rule, from what the exchange told of all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from exchange.day_volumes import DayVolumes
from exchange.filters import SymbolFilters
from fsm.core.model.policy import ListRule

ASSET = "USDT"
_NAME = re.compile(r"[A-Z0-9]{5,24}", re.ASCII)
"""As config.yaml names symbols: one that cannot be excluded there is not traded either."""

UNTOLD_MAX = 0.5
"""Where more than this part of all symbols has no volume, the answer was cut off."""

UNREAD, UNTOLD = "VOLUME_UNREAD", "VOLUME_UNTOLD"
NOT_USDT, NAME = "NOT_USDT", "NAME"


class NoList(Exception):
    """No list can be made of these answers; the message says why."""


class Candidate(msgspec.Struct, frozen=True):
    """One symbol as the exchange told it: its volume, and why it may not be listed at all (empty: it may)."""

    symbol: str
    volume: Decimal | None = None
    barred: str = ""


def candidates(volumes: DayVolumes, filters: Mapping[str, SymbolFilters]) -> tuple[Candidate, ...]:
    """Everything that a list is made of, by name: symbols of which only one of both answers tells count, too."""
    unread, found = set(volumes.unread), []
    for name in sorted({*volumes.quote, *unread, *filters}):
        volume = volumes.quote.get(name)
        known = filters.get(name)
        barred = "NO_FILTERS" if known is None else _barred(known)
        if not barred and volume is None:
            barred = UNREAD if name in unread else UNTOLD
        found.append(Candidate(name, volume, barred))
    return tuple(found)


def _barred(known: SymbolFilters) -> str:
    """Only perpetuals in USDT that trade; the words are the exchange's own."""
    if known.contract_type != "PERPETUAL":
        return known.contract_type
    if known.status != "TRADING":
        return known.status
    if (known.quote_asset, known.margin_asset) != (ASSET, ASSET):
        return NOT_USDT
    return "" if _NAME.fullmatch(known.symbol) else NAME


def made(rule: ListRule, told: tuple[Candidate, ...]) -> tuple[str, ...]:
    """The list, in the order of the alphabet. Raises NoList where the answers cannot be believed."""
    excluded = set(rule.exclude)
    asked = [each for each in told if each.barred in ("", UNREAD, UNTOLD) and each.symbol not in excluded]
    unread = [each.symbol for each in asked if each.barred == UNREAD]
    if unread:
        raise NoList(f"the volume of {', '.join(unread[:5])} cannot be read (`exclude` it to go on without)")
    untold = sum(each.barred == UNTOLD for each in asked)
    if untold > UNTOLD_MAX * len(asked):
        raise NoList(f"{untold} of {len(asked)} symbols have no volume")
    best = [each.symbol for each in _in_turn(rule, told)][: rule.n]
    if not best:
        raise NoList("no perpetual contract in USDT trades")
    return tuple(sorted(best))


def ranked(told: tuple[Candidate, ...]) -> list[Candidate]:
    """Those that may be listed, the most traded first; ties by name."""
    able = [each for each in told if not each.barred and each.volume is not None]
    return sorted(able, key=lambda each: (-(each.volume or Decimal(0)), each.symbol))


def standing(rule: ListRule, told: tuple[Candidate, ...], symbol: str) -> str:
    """Where a symbol stands by these answers, in words."""
    if symbol in rule.exclude:
        return "it is excluded in config.yaml"
    place = next((n for n, each in enumerate(_in_turn(rule, told), 1) if each.symbol == symbol), None)
    if place is not None:
        return f"it is number {place} of those that may be listed, and the list has {rule.n}"
    found = next((each for each in told if each.symbol == symbol), None)
    return "the exchange does not list it" if found is None else f"it may not be listed: {found.barred}"


def _in_turn(rule: ListRule, told: tuple[Candidate, ...]) -> list[Candidate]:
    return [each for each in ranked(told) if each.symbol not in rule.exclude]
