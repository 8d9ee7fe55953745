"""What a bot lived through and its backtest did not, read from its journal, one kind at a time."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fsm.backtest.comparing.inputs import Source
from fsm.backtest.comparing.lived_around import by_others, past_trades, wallets_at_closes
from fsm.backtest.comparing.lived_closes import missed_closes
from fsm.backtest.comparing.lived_moments import Decided
from fsm.backtest.comparing.lived_orders import (
    as_filled,
    delays,
    heard_at,
    is_partial,
    late_commands,
    late_moves,
    refused,
    sent_at,
    taken,
    unheard,
)
from fsm.backtest.comparing.lived_wishes import commands_of, small_steps_of, transfers_of, troubled, wishes_of
from fsm.backtest.comparing.side import Side, Span
from fsm.backtest.injecting import Edit, Injected
from rules.load import stored_rules
from store import queries

FILLS_MAX = 10_000


class Lived(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of thing, and everything of it that happened."""

    source: Source
    injected: Injected


def lived(bot: Side, span: Span) -> list[Lived]:
    """In the order in which it is tried; kinds of which nothing happened are left out."""
    entry = stored_rules(bot.rules[-1].text, bot.name).for_symbol("").entry_timeframe
    inside = [row for row in bot.trades if span.from_ms <= row.signal_candle_ms < span.to_ms]
    fills = {row.id: queries.fills(bot.store, trade_id=row.id, limit=FILLS_MAX)[::-1] for row in inside}
    trades = [as_filled(row, fills[row.id]) for row in inside]
    taken_up = {at_ms: (accepted.rules, accepted.config) for at_ms, accepted in _accepted(bot, span)}
    decided = Decided(bot, span, entry, taken_up)
    commands = [*commands_of(bot, span, decided), *commands_of(bot, span, decided, own=True)]
    by_command, sent = dict(late_commands(commands, fills, trades, decided)), sent_at(bot, span)
    kinds = (
        (Source.EDIT, Injected(edits=tuple(_edits(bot, span, decided)))),
        (Source.SMALL_STEPS, Injected(steps=tuple(small_steps_of(bot, span, decided)))),
        (
            Source.LATENCY,
            Injected(
                decided=decided.late(),
                unheard=tuple(unheard(trades, fills, heard_at(bot, span), decided)),
                delays={**by_command, **dict(delays(trades, fills, sent, entry)), **dict(late_moves(bot, span, entry))},
            ),
        ),
        (Source.TRANSFER, Injected(transfers=tuple(transfers_of(bot, span)))),
        (Source.OUTAGE, Injected(missed=frozenset(missed_closes(bot, span, entry)))),
        (
            Source.OPERATOR,
            Injected(commands=tuple(commands_of(bot, span, decided)), account=tuple(wishes_of(bot, span, decided))),
        ),
        (Source.TROUBLE, troubled(bot, span, entry, decided)),
        (Source.HAND, by_others(bot, span, entry)),
        (Source.MISSED_ENTRY, Injected(refused=dict(refused(bot, span, entry)))),
        (Source.PARTIAL_FILL, Injected(fills=taken([row for row in trades if is_partial(row, fills)], fills, entry))),
        (Source.SLIPPAGE, Injected(fills=taken([row for row in trades if not is_partial(row, fills)], fills, entry))),
        (
            Source.EARLIER,
            Injected(
                past=tuple(past_trades(bot, span, entry, decided)),
                wallets=dict(wallets_at_closes(bot, span, entry, decided)),
            ),
        ),
    )
    return [Lived(source=source, injected=injected) for source, injected in kinds if injected]


EDITS_MAX = 50
"""Candles are read again for each; where there were more, they are named as the journal has them."""


def _edits(bot: Side, span: Span, decided: Decided) -> list[Edit]:
    """The files as they were in force after each edit; one that goes back to what was before is an edit, too."""
    rules = {each.hash: each.text for each in bot.rules}
    configs = {each.hash: each.text for each in bot.configs}
    before, edits = (bot.rules[0].hash, bot.configs[0].hash), []
    for at_ms, accepted in _accepted(bot, span):
        pair = accepted.rules, accepted.config
        if pair != before and pair[0] in rules and pair[1] in configs:
            edits.append(Edit(at_ms=decided.known(at_ms), rules=rules[pair[0]], config=configs[pair[1]]))
            before = pair
    return edits if len(edits) <= EDITS_MAX else []


class _Accepted(msgspec.Struct, frozen=True):
    rules: str
    config: str


class _Reload(msgspec.Struct, frozen=True):
    accepted: _Accepted


def _accepted(bot: Side, span: Span) -> Iterator[tuple[int, _Accepted]]:
    """The hashes of the files that were in force from each start and each edit on."""
    rows = bot.store.connection.execute(
        "SELECT at_ms, kind, facts_json, rules_hash, config_hash FROM system_events"
        " WHERE at_ms <= ? AND (kind = 'START' OR (kind = 'RELOAD' AND json_type(facts_json, '$.accepted') = 'object'))"
        " ORDER BY id",
        (span.to_ms,),
    )
    for at_ms, kind, facts, rules, config in rows:
        was = _Accepted(str(rules), str(config))
        yield int(str(at_ms)), was if kind == "START" else msgspec.json.decode(str(facts), type=_Reload).accepted
