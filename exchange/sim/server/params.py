"""Reads the parameters of one request, and refuses what is missing or malformed as Binance does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl

from exchange.errors import Refusal
from exchange.sim.server.refusals import missing

_NUMBER = re.compile(r"\d{1,20}(\.\d{1,20})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,19}", re.ASCII)

Choice = TypeVar("Choice", bound=StrEnum)


class Params:
    """Name and text of each parameter. An empty value counts as not sent."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in values.items() if value != ""}

    @classmethod
    def parse(cls, query: str, body: str) -> Params:
        """From both places; where both have a name, the query wins (general information page, checked 2026-11)."""
        return cls({**dict(parse_qsl(body, keep_blank_values=True)), **dict(parse_qsl(query, keep_blank_values=True))})

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def items(self) -> Iterable[tuple[str, str]]:
        return self._values.items()

    def text(self, name: str) -> str:
        found = self._values.get(name)
        if found is None:
            raise missing(name)
        return found

    def text_or(self, name: str, default: str | None = None) -> str | None:
        return self._values.get(name, default)

    def whole(self, name: str) -> int:
        """A whole number that is not negative: times, ids, counts."""
        found = self.text(name)
        if not _WHOLE.fullmatch(found):
            raise missing(name)
        return int(found)

    def whole_or(self, name: str, default: int | None = None) -> int | None:
        return self.whole(name) if name in self._values else default

    def limit(self, default: int, most: int) -> int:
        """How many rows are wanted; -1130 outside the allowed range."""
        found = self.whole_or("limit", default)
        if found is None or not 1 <= found <= most:
            raise Refusal(-1130, "Data sent for parameter 'limit' is not valid.")
        return found

    def decimal(self, name: str) -> Decimal:
        found = self.text(name)
        if not _NUMBER.fullmatch(found):
            raise Refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '\\d+(\\.\\d+)?'.")
        return Decimal(found)

    def decimal_or_none(self, name: str) -> Decimal | None:
        return self.decimal(name) if name in self._values else None

    def flag(self, name: str, default: bool = False) -> bool:
        found = self._values.get(name)
        if found is None:
            return default
        if found.lower() not in ("true", "false"):
            raise missing(name)
        return found.lower() == "true"

    def choice(self, name: str, kind: type[Choice], refusal: Refusal, default: Choice | None = None) -> Choice:
        """One of an enum's values; ``refusal`` otherwise."""
        if name not in self._values and default is not None:
            return default
        found = self.text(name)
        if found not in kind._value2member_map_:
            raise refusal
        return kind(found)
