"""What an operator wanted of a bot, and what stopped it from entering by itself, from its journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from fsm.backtest.comparing.lived_closes import blocked_closes
from fsm.backtest.comparing.lived_moments import Decided
from fsm.backtest.comparing.side import Side as Run
from fsm.backtest.comparing.side import Span
from fsm.backtest.injecting import AccountWish, Injected, StepsFrom, Transfer
from fsm.core import small_steps
from fsm.core.model.events import Commanded, SymbolEvent
from fsm.core.model.records import AccountRecord, HaltCause
from indicators.candle import Timeframe

_read_event = msgspec.json.Decoder[SymbolEvent](SymbolEvent).decode


def commands_of(bot: Run, span: Span, decided: Decided, *, own: bool = False) -> Iterator[Commanded]:
    """What the operator wanted of each symbol, as it was decided on; or (``own``) the bot itself, for trouble."""
    rows = bot.store.connection.execute(
        "SELECT event_json FROM transitions WHERE at_ms >= ? AND at_ms < ? AND json_extract(event_json, '$.type') = ?"
        " ORDER BY id",
        (span.from_ms, span.to_ms, Commanded.__struct_config__.tag),
    )
    for (text,) in rows:
        event = _read_event(str(text))
        if isinstance(event, Commanded) and (event.cause in OWN_CAUSES if own else event.cause == HaltCause.OPERATOR):
            yield replace(event, at_ms=decided.before(event.symbol, event.at_ms))


class _AccountFacts(msgspec.Struct, frozen=True):
    account: AccountRecord


_read_account = msgspec.json.Decoder[_AccountFacts](_AccountFacts).decode


def _accounts(bot: Run, span: Span, kinds: Sequence[str] | None = None) -> list[tuple[int, str, AccountRecord]]:
    """The account's record as the comparison begins (its kind is empty), and after each event in it, of these
    kinds if any are named."""
    rows = bot.store.connection.execute(
        "SELECT at_ms, kind, facts_json FROM system_events"
        " WHERE at_ms < ? AND json_type(facts_json, '$.account') = 'object' ORDER BY id",
        (span.to_ms,),
    )
    told = [(int(str(at_ms)), str(kind), str(text)) for at_ms, kind, text in rows]
    before = [(at_ms, "", text) for at_ms, _, text in told if at_ms <= span.from_ms][-1:]
    after = [
        (at_ms, kind, text) for at_ms, kind, text in told if at_ms > span.from_ms and (kinds is None or kind in kinds)
    ]
    return [(at_ms, kind, _read_account(text).account) for at_ms, kind, text in before + after]


def small_steps_of(bot: Run, span: Span, decided: Decided) -> Iterator[StepsFrom]:
    """Where small steps began, or the operator ended them; a last trade that ends them does so in a backtest, too."""
    for at_ms, kind, account in _accounts(bot, span, (small_steps.BEGUN, small_steps.ENDED)):
        if kind or account.steps is not None:
            steps = account.steps
            if steps is not None:
                steps = replace(steps, since_ms=decided.known(steps.since_ms))
            yield StepsFrom(at_ms=decided.known(at_ms), steps=steps)


WISHES = ("PAUSE", "RESUME", "HALT", "FLATTEN")
"""Events of the operator's wishes about the whole account."""


OWN_CAUSES = (
    HaltCause.EQUITY_STALE, HaltCause.PERMISSION, HaltCause.REFUSALS, HaltCause.PROTECTION, HaltCause.RESTORED,
)  # fmt: skip
TROUBLE = frozenset(
    {
        *(cause.value for cause in OWN_CAUSES), "CANDLE_AGE", "EQUITY_FRESH", "EQUITY_UNKNOWN", "EQUITY_UNEXPLAINED",
        "UNSUPPORTED_ACCOUNT", "FILES_UNUSABLE", "STOPS_UNPROVED", "SYMBOL_NOT_LISTED", "SYMBOL_UNKNOWN",
        "SYMBOL_NOT_TRADING",
        "BRACKETS_UNKNOWN", "MARGIN_ASSET", "CANDLES_DIFFER", "SYMBOL_RULES_STALE", "SYMBOL_RULES_CHANGED",
    }
)  # fmt: skip
"""Why a bot enters nothing that no backtest meets: first words of what it says of a close."""


def troubled(bot: Run, span: Span, entry: Timeframe, decided: Decided) -> Injected:
    """Closes at which nothing was entered in a symbol for trouble, and positions that were closed for it."""
    return Injected(
        commands=tuple(commands_of(bot, span, decided, own=True)),
        blocked=frozenset(blocked_closes(bot, span, entry, TROUBLE)),
    )


def wishes_of(bot: Run, span: Span, decided: Decided) -> Iterator[AccountWish]:
    for at_ms, kind, account in _accounts(bot, span, WISHES):
        halt = account.halt if account.halt is not None and account.halt.cause == HaltCause.OPERATOR else None
        if kind or account.paused or halt is not None:
            yield AccountWish(at_ms=decided.known(at_ms), kind=kind or "PAUSE", paused=account.paused, halt=halt)


def transfers_of(bot: Run, span: Span) -> Iterator[Transfer]:
    """By how much the sum of all deposits less withdrawals changed, and when that was known."""
    before = None
    for at_ms, _, account in _accounts(bot, span):
        if before is not None and account.transfers != before:
            yield Transfer(at_ms=at_ms, amount=account.transfers - before)
        before = account.transfers
