"""What rules would have done over the candles that a bot has used lately, beside those in force over the same ones."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec

from fsm.backtest.comparing.rerun import CannotRepeat, Repeater
from fsm.backtest.comparing.side import CannotCompare, Side, Span, net, read_side
from rules.load import Ruleset, stored_rules
from store import queries
from store.database import open_store

DAY_MS = 86_400_000
DAYS = 90


class WhatIfError(Exception):
    """It cannot be told; the message says why."""


class Came(msgspec.Struct, frozen=True, kw_only=True):
    """What some rules came to; what was open at the end is closed at its last price."""

    rules_hash: str
    trades: int
    wins: int
    net_pnl_usdt: Decimal
    r: float
    worst_fall_pct: float


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """Both over the same candles, with the bot's settings; ``live`` is what the bot itself did in that time."""

    from_ms: int
    to_ms: int
    offered: Came
    in_force: Came
    live_trades: int
    live_net_pnl_usdt: Decimal


def what_if(db: Path, offered: Ruleset, folders: tuple[Path, ...], scratch: Path, days: int = DAYS) -> WhatIf:
    """Raises WhatIfError. ``folders`` have marks and funding."""
    with open_store(db, mode="read") as store:
        try:
            live = read_side("the bot", store)
            now = stored_rules(live.rules[-1].text, "the rules in force")
            # The newest candle that was decided on has closed; a run of the past ends where it was to end.
            to_ms = live.ran.to_ms if live.ran else live.span.to_ms - 1 + now.for_symbol("").entry_timeframe.ms
            span = Span(max(live.span.from_ms, to_ms - days * DAY_MS), to_ms)
            if live.ran is not None:
                live = replace(live, ran=span)
            again = Repeater(live, live, span, folders, folders, scratch)
            came = [_came(again, rules, live, scratch / f"{name}.sqlite") for name, rules in
                    (("offered", offered), ("in-force", now))]  # fmt: skip
        except (CannotRepeat, CannotCompare) as error:
            raise WhatIfError(str(error)) from error
        done = [row for row in live.trades if row.signal_candle_ms >= span.from_ms]
    return WhatIf(
        from_ms=span.from_ms,
        to_ms=span.to_ms,
        offered=came[0],
        in_force=came[1],
        live_trades=len(done),
        live_net_pnl_usdt=net(done),
    )


def _came(again: Repeater, rules: Ruleset, live: Side, path: Path) -> Came:
    symbols = [symbol for symbol in live.symbols if live.settings.allows(symbol)]
    again.with_rules(rules, live.settings, symbols, path)
    with open_store(path, mode="read") as store:
        trades = read_side("it", store).trades
        fall = queries.worst_fall(store, since_ms=0)
    return Came(
        rules_hash=rules.hash,
        trades=len(trades),
        wins=sum(1 for row in trades if (row.net_pnl or 0) > 0),
        net_pnl_usdt=net(trades),
        r=round(sum(float(row.r) for row in trades if row.r is not None), 4),
        worst_fall_pct=round(fall * 100, 4),
    )
