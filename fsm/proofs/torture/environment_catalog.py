"""What happens around the bot, beside the first menu: rules of symbols, candles, moments, tasks, chat and cut files.

It is drawn from a stream of chance of its own, so that the first menu's part of each seed stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

A_DAY = 3.0
"""Of these in a simulated day, on average."""

NUMBERS_FROM = 10_001
"""Their numbers begin here: a number is also the seed of what a disturbance does in detail."""

HELD, MOVING = "held", "moving"
"""Moments that are waited for: any position is open; any stop of ours is being replaced."""

Fields = dict[str, Any]
Maker = Callable[[Random, tuple[str, ...]], Fields]

REFUSALS = ("off-tick", "too-large", "brackets-refused", "candles-refused")
"""Faults of single calls that the real client's menu got later than the port's."""


def _close(chance: Random, symbols: tuple[str, ...]) -> Fields:
    """Closes are accepted and end EXPIRED, with nothing filled."""
    if chance.random() < 0.5:
        return {"what": "expires", "count": chance.choice((1, 1, 2, 3, 5))}
    return {"what": "expires", "count": 1_000, "seconds": chance.choice((1.0, 2.0, 5.0))}


def _rules(chance: Random, symbols: tuple[str, ...]) -> Fields:
    """The exchange changes what it lets through, for a while or (0 s) for good, mostly in the middle of a trade."""
    what = chance.choice(
        (
            *("lot-lowered", "lot-lowered", "lot-lowered", "tick-coarser", "tick-finer", "lot-coarser", "lot-finer"),
            *("settled", "gone", "unlisted", "unbracketed"),
        )
    )
    lasts_s = chance.choice((600.0, 7_200.0, 86_400.0))
    if what not in ("settled", "gone", "unlisted", "unbracketed") and chance.random() < 0.3:
        lasts_s = 0.0
    when = HELD if chance.random() < 0.8 else ""
    return {"what": what, "symbol": "" if when else chance.choice(symbols), "seconds": lasts_s, "when": when}


def _hand(chance: Random, symbols: tuple[str, ...]) -> Fields:
    """Another hand just while a stop moves (``amount`` seconds after its first order), or one that opens."""
    if chance.random() < 0.2:
        return {"what": "open", "symbol": chance.choice(symbols)}
    what = chance.choice(("close", "close", "close", "reduce", "add", "cancel-stop"))
    return {"what": what, "when": MOVING, "amount": chance.choice(DELAYS_S)}


DELAYS_S = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)


def _command(chance: Random, symbols: tuple[str, ...]) -> Fields:
    """The operator takes a position over, or closes it, while it is open or just while its stop moves."""
    what = chance.choice(("release", "release", "release cancel-stop", "flatten"))
    when = MOVING if what == "flatten" or chance.random() < 0.5 else HELD
    return {"what": what, "when": when, "amount": chance.choice(DELAYS_S)}


def _candles(chance: Random, symbols: tuple[str, ...]) -> Fields:
    """From the candle under way on so many are missing or contradict themselves; ``seconds`` later they are there."""
    return {
        "what": chance.choice(("hole", "hole", "contradiction", "duplicate")),
        "symbol": chance.choice(symbols),
        "count": chance.choice((1, 1, 1, 2, 3, 5, 12, 24, 25, 30)),
        "seconds": chance.choice((0.0, 0.0, 0.0, 3_630.0, 7_300.0, 90_000.0)),
    }


def _task(chance: Random, symbols: tuple[str, ...]) -> Fields:
    """One of the supervised tasks raises, or several in a row: ``amount`` chooses the first."""
    what = chance.choice(("RuntimeError", "KeyError", "OSError", "ZeroDivisionError"))
    return {"what": what, "count": chance.choice((1, 1, 1, 2, 4)), "amount": chance.random()}


def _telegram(chance: Random, symbols: tuple[str, ...]) -> Fields:
    what = chance.choice(("rights", "nothing", "broken", "unreadable", "conflict", "writes"))
    return {"what": what, "seconds": chance.choice((60.0, 3_600.0, 86_400.0))}


def _edit(chance: Random, symbols: tuple[str, ...]) -> Fields:
    """A file is cut off at a byte (``amount`` of it is there) and whole ``seconds`` later; or a symbol is disabled."""
    what = chance.choice(("cut-rules", "cut-rules", "cut-config", "cut-config", "cut-config", "disabled"))
    if what == "disabled":
        return {"what": what, "when": HELD, "seconds": chance.choice((60.0, 7_200.0, 86_400.0))}
    whole_s = chance.choice((0.5, 3.0, 6.0, 60.0, 3_600.0))
    return {"what": what, "amount": chance.random(), "count": chance.randrange(9), "seconds": whole_s}


MAKERS: dict[str, tuple[float, Maker]] = {
    "close": (3.0, _close),
    "rules": (5.0, _rules),
    "hand": (4.0, _hand),
    "command": (3.0, _command),
    "candles": (3.0, _candles),
    "task": (3.0, _task),
    "telegram": (2.0, _telegram),
    "edit": (4.0, _edit),
    "fault": (2.0, lambda chance, symbols: {"what": chance.choice(REFUSALS), "count": chance.choice((1, 2, 5))}),
}
"""Every kind of them, how often it comes compared with the others, and how its details are drawn."""

ROWS: dict[str, str] = {
    "close expires": "a close is accepted, and ends EXPIRED with nothing filled",
    "rules lot-lowered": "MARKET_LOT_SIZE is lowered under an open position: -4005 for its close",
    "rules tick-coarser": "ten times the tick, in the middle of a trade",
    "rules tick-finer": "a tenth of the tick, in the middle of a trade",
    "rules lot-coarser": "ten times the step, in the middle of a trade",
    "rules lot-finer": "a tenth of the step, in the middle of a trade",
    "rules settled": "SETTLING: orders are cancelled, the position is closed at the mark; it is listed again later",
    "rules gone": "settled, and unknown to every call (-1121); listed again later",
    "rules unlisted": "its row of exchangeInfo is missing (at the wire: cannot be read), all else goes on",
    "rules unbracketed": "leverageBracket says -1121 for it",
    "hand close": "a position closed by hand just while its stop is being replaced",
    "hand reduce": "a position reduced by hand just while its stop is being replaced",
    "hand add": "a position added to by hand just while its stop is being replaced",
    "hand cancel-stop": "the stop cancelled by hand just while it is being replaced",
    "hand open": "a position opened by hand",
    "command release": "the operator takes a position over, also just while its stop is being replaced",
    "command release cancel-stop": "the same, and the stop goes too",
    "command flatten": "the operator closes a position just while its stop is being replaced",
    "candles hole": "1 to 30 candles that the exchange never lists, or lists hours later",
    "candles contradiction": "candles whose high is under their close",
    "candles duplicate": "candles that are listed twice, with other values",
    "task RuntimeError": "a supervised task raises",
    "task KeyError": "a supervised task raises",
    "task OSError": "a supervised task raises",
    "task ZeroDivisionError": "a supervised task raises",
    "telegram rights": "Telegram says 400 for want of rights: no fault of the text",
    "telegram nothing": "Telegram answers nothing until the time is out",
    "telegram broken": "what speaks with Telegram raises what nobody foresaw",
    "telegram unreadable": "messages that cannot be read",
    "telegram conflict": "another program reads our messages",
    "telegram writes": "the operator asks and pauses in the chat",
    "edit cut-config": "config.yaml cut off at any byte, and whole later",
    "edit cut-rules": "rules.yaml cut off at any byte, and whole later",
    "edit disabled": "a symbol disabled in the middle of its trade, and enabled later",
}
"""What each of them is, as it is counted."""
