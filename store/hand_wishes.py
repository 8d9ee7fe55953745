"""Wishes about an open trade as the inbox keeps them: one line of words, which is written and read here alone."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

HAND_KINDS = ("reduce", "move-stop", "move-target")
LOOSER = "looser:"
WHY_MAX = 200
"""Characters of a reason; it stands in one line."""

_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_SHAPES = {
    "reduce": "`reduce SYMBOL AMOUNT`, with a quantity or a share of the position: 0.01, 25%",
    "move-stop": "`move-stop SYMBOL PRICE`; away from safety it takes `looser` and a reason",
    "move-target": "`move-target SYMBOL PRICE`, and the target's number (from 1) where there are several",
}


class HandWish(msgspec.Struct, frozen=True, kw_only=True):
    """A part to close, or a stop or target to move: ``quantity`` or ``pct`` of what is open; ``price``; the target's
    ``number``, from 1. ``looser`` and ``why`` go together: a stop may move away from safety, for that reason."""

    kind: str
    quantity: Decimal | None = None
    pct: Decimal | None = None
    price: Decimal | None = None
    number: int | None = None
    looser: bool = False
    why: str = ""

    def words(self) -> str:
        """The line that the inbox keeps."""
        parts = [self.kind]
        parts += [] if self.quantity is None else [f"{self.quantity:f}"]
        parts += [] if self.pct is None else [f"{self.pct:f}%"]
        parts += [] if self.price is None else [f"{self.price:f}"]
        parts += [] if self.number is None else [str(self.number)]
        parts += [LOOSER, *self.why.split()] if self.looser else []
        return " ".join(parts)


def hand_wish(kind: str, words: str, *, number: int | None = None, looser: bool = False, why: str = "") -> HandWish:
    """Of what somebody typed. Raises ValueError, in words: with what is wrong, and how it is said."""
    why = " ".join(why.split())
    if kind not in HAND_KINDS:
        raise ValueError(f"there is no {kind!r}; there are {', '.join(HAND_KINDS)}")
    if looser and not why:
        raise ValueError("a looser stop takes a reason: say why")
    if len(why) > WHY_MAX or not why.isprintable():
        raise ValueError(f"a reason is one line of at most {WHY_MAX} characters")
    if kind != "move-stop" and (looser or why):
        raise ValueError(f"only a stop can be looser; say {_SHAPES[kind]}")
    if number is not None and (kind != "move-target" or not 1 <= number <= 99):
        raise ValueError(f"say {_SHAPES[kind]}")
    if kind == "reduce" and words.endswith("%"):
        pct = _positive(words[:-1], kind)
        if pct > 100:
            raise ValueError(f"{words} is more than all of it")
        return HandWish(kind=kind, pct=pct)
    found = _positive(words, kind)
    if kind == "reduce":
        return HandWish(kind=kind, quantity=found)
    return HandWish(kind=kind, price=found, number=number, looser=looser, why=why)


def read_hand_wish(line: str) -> HandWish:
    """What ``words`` wrote. Raises ValueError for anything else."""
    said, loosened, why = line.partition(f" {LOOSER} ")
    kind, *rest = said.split()
    if not rest or len(rest) > 2 or (len(rest) == 2 and not (rest[1].isascii() and rest[1].isdigit())):
        raise ValueError(f"{line!r} is not understood; say {_SHAPES.get(kind, ', '.join(HAND_KINDS))}")
    number = int(rest[1][:4]) if len(rest) == 2 else None
    return hand_wish(kind, rest[0], number=number, looser=bool(loosened), why=why)


def is_by_hand(line: str) -> bool:
    """Whether a command of the inbox is one of these."""
    return line.partition(" ")[0] in HAND_KINDS


def _positive(text: str, kind: str) -> Decimal:
    if not _NUMBER.fullmatch(text) or Decimal(text) == 0:
        raise ValueError(f"{text[:40]!r} is no number above 0; say {_SHAPES[kind]}")
    return Decimal(text)
