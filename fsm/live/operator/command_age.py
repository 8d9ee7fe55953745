"""Judges how old a command is that was left while no bot ran, where the stamp on it is of a clock that may be wrong.

Whoever leaves a command asks no exchange for the time, so the stamp is this machine's wall clock, which may have been
wrong then, or set since. What is certain: a command that waits was left after the last bot's last sign of life, since a
bot takes commands at once, and that sign is on the exchange's clock.
"""

from __future__ import annotations

from fsm.live.context.clock import Clock
from store.views import CommandRow

CLOSING = "flatten"


def age_ms(command: CommandRow, clock: Clock, since_ms: int | None) -> int:
    """How long ago it was left. ``since_ms`` is the last sign of life of the bot before this one, or when that one took
    the command; None without any.

    Where the clocks do not agree, a `flatten` is as young as one of them says, and what could let entries begin as old
    as one of them says: neither may a wrong clock keep a position open, nor end a halt.
    """
    found = _by_stamp(command, clock)
    return found if since_ms is None else min(found, max(clock.now_ms() - since_ms, 0))


def _by_stamp(command: CommandRow, clock: Clock) -> int:
    by_exchange, by_machine = clock.now_ms() - command.posted_ms, clock.wall_ms() - command.posted_ms
    if clock.measured is None:  # a simulated exchange lives at another time than whoever leaves commands
        return min(abs(by_exchange), abs(by_machine))
    if command.kind == CLOSING:
        return max(min(by_exchange, by_machine), 0)
    return max(abs(by_exchange), abs(by_machine))
