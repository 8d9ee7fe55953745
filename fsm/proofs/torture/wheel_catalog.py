"""What the operator changes about open trades through the bot, in a stream of chance of its own."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from fsm.core.model.records import Trade
from fsm.proofs.torture.environment_catalog import DELAYS_S, HELD, MOVING, Fields, Maker

A_DAY = 2.0
"""Of these in a simulated day, on average."""

NUMBERS_FROM = 20_001

TIGHTER, LOOSER = Decimal("0.3"), Decimal("-0.3")
"""So much of the distance to the entry a stop is moved by."""

WISHES = (
    "reduce 30%",
    "reduce 50%",
    "move-stop tighter",
    "move-stop looser",
    "move-target further",
    "move-target nearer",
)


def _act(chance: Random, symbols: tuple[str, ...]) -> Fields:
    """While a position is open, or just while its stop moves; sometimes where nothing is open."""
    what, luck = chance.choice(WISHES), chance.random()
    if luck < 0.1:
        return {"what": what, "symbol": chance.choice(symbols)}
    return {"what": what, "when": HELD if luck < 0.7 else MOVING, "amount": chance.choice(DELAYS_S)}


MAKERS: dict[str, tuple[float, Maker]] = {"act": (1.0, _act)}

ROWS: dict[str, str] = {
    "act reduce 30%": "the operator closes a part of a position through the bot",
    "act reduce 50%": "the same, half of it",
    "act move-stop tighter": "the operator moves a stop towards safety",
    "act move-stop looser": "the same, away from it, with a reason",
    "act move-target further": "the operator moves the last target away",
    "act move-target nearer": "the same, towards the price",
}


def line_of(what: str, trade: Trade | None) -> str:
    """The command as somebody would type it now; without a trade prices are as good as any."""
    kind, _, how = what.partition(" ")
    if kind == "reduce":
        return what
    if trade is None or trade.stop is None:
        return f"{kind} 1"
    entry, stop = trade.entry_price or trade.entry_price_planned, trade.stop.trigger_price
    if kind == "move-stop":
        price = stop + (entry - stop) * (TIGHTER if how == "tighter" else LOOSER)
        return f"move-stop {_whole(price)}" + (" looser: a wick" if how == "looser" else "")
    last = trade.targets[-1].trigger_price if trade.targets else entry
    price = last + (last - entry) * (LOOSER if how == "nearer" else TIGHTER)
    return f"move-target {_whole(price)} {max(len(trade.targets), 1)}"


def _whole(price: Decimal) -> str:
    return f"{max(price, Decimal(1)).quantize(Decimal('0.0001')).normalize():f}"
