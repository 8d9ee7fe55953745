"""`rules diff`: what an edit of rules changes, in words and on history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fsm.cli import output
from fsm.cli.candle_options import chosen
from fsm.cli.errors import CommandError
from fsm.cli.inputs import read_config
from fsm.cli.options import current
from fsm.cli.progress import reporting
from fsm.cli.times import shown

if TYPE_CHECKING:
    from fsm.backtest.comparing.matching import Difference
    from fsm.backtest.comparing.rules_diff import RulesDiff

SHOWN_MAX = 30


def tell_difference(
    old: Path,
    new: Path,
    data: tuple[Path, ...],
    symbols: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
) -> None:
    """Both files are run over the candles at hand, with the settings in force. Raises CommandError."""
    from fsm.backtest.comparing.rules_diff import diff_rules
    from fsm.backtest.run import BacktestError, Request
    from rules.load import load_rules

    options, since = current(), perf_counter()
    before, after = load_rules(old), load_rules(new)
    folders, instead = chosen(data)
    request = Request(
        config=read_config(options, needs_keys=False),
        rules=before,
        data=folders,
        instead=instead,
        symbols=symbols,
        from_ms=from_ms,
        to_ms=to_ms,
    )
    with TemporaryDirectory() as scratch, reporting(json=options.json, level="warning") as progress:
        try:
            found = diff_rules(before, after, request, Path(scratch), progress=progress)
        except BacktestError as error:
            raise CommandError(str(error)) from error
    seconds = perf_counter() - since
    if options.json:
        output.document(_document(found, seconds))
    else:
        _print(found, seconds)


def _document(found: RulesDiff, seconds: float) -> dict[str, Any]:
    kinds = Counter(str(each.kind) for each in found.trades)
    return {
        "old": found.old,
        "new": found.new,
        "symbols": found.symbols,
        "from_ms": found.span[0],
        "to_ms": found.span[1],
        "candles": found.candles,
        "changes": found.changes,
        "allows_more": found.allows_more,
        "regimes": {"candles_differing": sum(each.candles for each in found.regimes), "stretches": found.regimes},
        "signals": found.signals,
        "trades": {
            "only_old": kinds["ONLY_A"],
            "only_new": kinds["ONLY_B"],
            "differ": kinds["DIFFERS"],
            "same": found.old.trades - kinds["ONLY_A"] - kinds["DIFFERS"],
            "differences": [_trade(each) for each in found.trades],
        },
        "net_pnl_usdt": {
            "old": found.old.net_pnl_usdt,
            "new": found.new.net_pnl_usdt,
            "difference": found.pnl_change,
        },
        "seconds": round(seconds, 3),
    }


_KINDS = {"ONLY_A": "ONLY_OLD", "ONLY_B": "ONLY_NEW", "DIFFERS": "DIFFERS"}


def _trade(each: Difference) -> dict[str, Any]:
    before, after = each.pnl
    return {
        "kind": _KINDS[each.kind],
        "symbol": each.symbol,
        "candle_ms": each.candle_ms,
        "side": each.side,
        "net_pnl_usdt": {"old": before, "new": after},
        "fields": {name: {"old": one, "new": other} for name, (one, other) in each.fields.items()},
    }


def _print(found: RulesDiff, seconds: float) -> None:
    output.heading("What the edit says")
    for change in found.changes:
        output.line(change.told)
    if not found.changes:
        output.line("both files mean the same")
    for told in found.allows_more:
        output.line(f"allows more: {told}")
    span = f"{shown(found.span[0])} to {shown(found.span[1])} UTC, {', '.join(found.symbols)}"
    output.heading(f"What it does, {span}")
    output.table(("", "old", "new", "only in old", "only in new", "differ"), _counts(found), right=_COUNTED)
    _print_regimes(found)
    if found.trades:
        output.heading("Trades")
        rows = [_row(each) for each in found.trades[:SHOWN_MAX]]
        output.table(("signal candle UTC", "symbol", "side", "", "net old", "net new"), rows, right=_AMOUNTS)
        if len(found.trades) > SHOWN_MAX:
            output.line(f"… and {len(found.trades) - SHOWN_MAX} more; --json has all")
    output.line()
    output.line(f"Both were run in {seconds:.1f} s.")


_COUNTED = ("old", "new", "only in old", "only in new", "differ")
_AMOUNTS = ("net old", "net new")


def _counts(found: RulesDiff) -> Iterator[tuple[object, ...]]:
    signals = Counter(str(each.kind) for each in found.signals)
    trades = Counter(str(each.kind) for each in found.trades)
    regimes = sum(each.candles for each in found.regimes)
    yield "candles by their regime", found.candles, found.candles, "", "", regimes
    yield (
        "signals", found.old.signals, found.new.signals,
        signals["ONLY_OLD"], signals["ONLY_NEW"], signals["DIFFERS"],
    )  # fmt: skip
    yield "trades", found.old.trades, found.new.trades, trades["ONLY_A"], trades["ONLY_B"], trades["DIFFERS"]
    yield (
        "net USDT",
        _amount(found.old.net_pnl_usdt),
        _amount(found.new.net_pnl_usdt),
        "",
        "",
        _amount(found.pnl_change),
    )


def _print_regimes(found: RulesDiff) -> None:
    pairs: Counter[tuple[str, str]] = Counter()
    for each in found.regimes:
        pairs[each.old, each.new] += each.candles
    if pairs:
        output.heading("Candles in another regime")
        output.table(("old", "new", "candles"), [(*pair, count) for pair, count in pairs.most_common()])


def _row(each: Difference) -> tuple[object, ...]:
    before, after = each.pnl
    return (
        shown(each.candle_ms), each.symbol, each.side, _KINDS[each.kind].replace("_", " ").lower(),
        "" if each.a is None else _amount(before), "" if each.b is None else _amount(after),
    )  # fmt: skip


def _amount(amount: Decimal) -> str:
    return f"{amount:+,.2f}"
