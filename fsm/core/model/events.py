"""What happened, in the past tense: everything the engine can be told. All carry the symbol and the time."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from exchange.types import Account, Book, MarkPrice, Outcome, Room, SymbolSnapshot
from fsm.core.model.intents import Intent
from fsm.core.model.records import ZERO
from rules.regime import RegimeState


class CandleClosed(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """A candle of the entry timeframe closed; ``facts`` are every value the rules may read at that instant.

    ``regime`` is the classification that holds after this candle. ``prices`` are the present ones. Behind a hole in its
    candles the symbol opens nothing before the candle that opens at ``blocked_until_ms``. ``warming`` says of the
    classifier and of strategies which candles are still short (rules/warmup.py).
    """

    symbol: str
    at_ms: int
    candle_ms: int
    facts: dict[str, float | None]
    regime: RegimeState
    prices: MarkPrice
    blocked_until_ms: int = 0
    warming: dict[str, str] = {}


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to leave a position with again: ``room`` for its stop and its close, and the ``book`` that an entry
    and a close at the market would meet, no deeper than the trade is large."""

    room: Room
    book: Book


class SetupEnded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Margin type and leverage were checked and, if needed, written. ``outcome`` is the worst of the calls,
    ``open_quantity`` what is open in the symbol by now (signed; whose it is, nobody here knows). ``unready`` says what
    of the symbol's rules, read again, forbids the entry that was planned with the old ones; empty: nothing. ``means``
    None: a row from before they were read."""

    symbol: str
    at_ms: int
    outcome: Outcome
    prices: MarkPrice
    open_quantity: Decimal = Decimal(0)
    unready: str = ""
    means: Means | None = None


class IntentEnded(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """An intent was carried out; the outcome is definite, or UNKNOWN after all look-ups.

    ``prices`` come with a refused closing order, which may need a limit price. ``real_ms`` is as in SymbolObserved.
    """

    symbol: str
    at_ms: int
    intent: Intent
    outcome: Outcome
    prices: MarkPrice | None = None
    real_ms: int | None = None


class EntryShownAbsent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An entry of unknown outcome was shown absent by repeated look-ups and the position."""

    symbol: str
    at_ms: int
    client_id: str


class SymbolObserved(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """One look at the exchange. ``persisted``: what it lacks was lacking in earlier looks too, for long enough
    that a lag of the exchange's answers no longer explains it.

    ``real_ms`` is this machine's clock, by which retries are paced, because the exchange's may stand still or run at
    a thousand times our speed; None where there is no other clock than the exchange's.
    """

    symbol: str
    at_ms: int
    snapshot: SymbolSnapshot
    persisted: bool = False
    real_ms: int | None = None


class DeadlinePassed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The protection deadline ran out and no look has confirmed the stop."""

    symbol: str
    at_ms: int


class JournalFoundOld(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """The exchange holds orders of ours that the journal does not know: it was restored or copied, or has lost its end.

    ``epoch`` is that of all ids from now on. ``newest`` is the highest number of a trade that is over, by the journal
    or by what the exchange shows; fills up to ``last_fill_id`` belong to such trades (None: what is known stands;
    0: the exchange has begun anew, and so have its numbers). ``is_over``: the record's own trade is one of them, and
    ``snapshot`` shows what it left, its own orders, fills and ledger rows alone; else it shows its resting stops.
    """

    symbol: str
    at_ms: int
    epoch: str
    newest: int
    last_fill_id: int | None = None
    is_over: bool = False
    snapshot: SymbolSnapshot


class Commanded(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """The operator, a limit or the engine itself wants a state of affairs: pause, resume, flatten, halt, quarantine,
    release (then ``cancel_stop``: the stop goes too).

    By hand on an open trade: reduce by ``quantity`` or ``pct`` of it, move-stop or move-target to ``price`` (of the
    target of this ``number``, from 1; None: the only one). ``looser`` and ``why`` let a stop move away from safety.
    ``prices`` are the present ones, and ``command_id`` tells one command from the next.
    """

    symbol: str
    at_ms: int
    command: str
    cause: str
    cancel_stop: bool = False
    command_id: int = 0
    quantity: Decimal | None = None
    pct: Decimal | None = None
    price: Decimal | None = None
    number: int | None = None
    looser: bool = False
    why: str = ""
    prices: MarkPrice | None = None


class EquityRead(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One consistent snapshot of the account. ``transfers`` is the sum of all deposits minus withdrawals so far.

    ``unexplained`` is how much of the wallet's change neither the ledger nor a fill explains yet: above zero it may be
    a deposit, below zero a withdrawal or a loss. ``written_off`` was unexplained for so long that it now counts as a
    loss, which happened after ``explained_ms``. ``late`` is the part of the transfers that had been written off before,
    and ``transferred_ms`` the oldest transfer that was not known at the last reading.
    """

    at_ms: int
    account: Account
    transfers: Decimal
    unexplained: Decimal = ZERO
    written_off: Decimal = ZERO
    explained_ms: int | None = None
    late: Decimal = ZERO
    transferred_ms: int | None = None

    @property
    def settled(self) -> Decimal:
        """Equity as if what nobody can explain yet had come from outside, or gone there."""
        return self.account.equity - self.unexplained

    @property
    def is_doubtful(self) -> bool:
        """So much is gone without a word that nothing should be entered before it is known where."""
        return -self.unexplained * 100 > self.account.equity * DOUBTFUL_PCT and self.unexplained < 0


DOUBTFUL_PCT = Decimal("0.1")
"""Of equity: below it, an unexplained fall is a fee that the ledger does not show yet, and no reason to wait."""

SymbolEvent = (
    CandleClosed
    | SetupEnded
    | IntentEnded
    | EntryShownAbsent
    | SymbolObserved
    | DeadlinePassed
    | JournalFoundOld
    | Commanded
)


def real_ms(event: SymbolObserved | IntentEnded) -> int:
    """When it happened by this machine's clock, or by the exchange's where there is no other."""
    return event.at_ms if event.real_ms is None else event.real_ms


def reads_portfolio(event: SymbolEvent) -> bool:
    """It is judged by what else is open: an entry that is about to leave, and a stop that moves by hand."""
    return isinstance(event, SetupEnded) or (isinstance(event, Commanded) and event.command == "move-stop")
