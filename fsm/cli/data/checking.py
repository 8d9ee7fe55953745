"""Looks after the recorded candles: says what is wrong with them, file by file and line by line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.candle_options import candle_options, chosen
from fsm.cli.errors import VerificationFailed
from fsm.cli.options import Command, current

if TYPE_CHECKING:
    from exchange.candle_faults import Fault, Findings


@click.command(cls=Command)
@candle_options
def check(data: tuple[Path, ...], symbols: tuple[str, ...]) -> None:
    """Name what is wrong with candle and funding files: file, line and kind. Exit 4 if anything is.

    In a store rows are counted, and its files are compared with the hashes of its manifest.

    Candles that are missing, contradict themselves or each other, are told twice or in wrong order, begin at the wrong
    time, have no numbers, or prices far off their neighbours'. Without --symbols all are looked at.
    """
    from collections import Counter

    from exchange.candle_faults import files_in, look_through

    folders, _ = chosen(data)
    reports = list(look_through(files_in(folders, symbols)))
    steps = _price_steps(folders, symbols)
    counts: Counter[str] = Counter()
    for found in reports:
        counts.update(found.counts)
    faults = [fault for found in reports for fault in found.faults]
    if current().json:
        output.document({**_document(reports, faults, counts), "ticks": steps})
    else:
        _print_steps(steps)
        _print(reports, faults, counts)
    if faults:
        raise VerificationFailed


def _price_steps(folders: tuple[Path, ...], symbols: tuple[str, ...]) -> dict[str, list[dict[str, str]]]:
    """The tick of each symbol through its candles, and how it is known; of those that can be read."""
    from exchange.candle_columns import CandleFileError
    from exchange.candle_files import CandleFolders
    from exchange.sim.playback.feed import SymbolFeed
    from exchange.sim.playback.rulebook import Rulebook
    from fsm.backtest.result import ticks_as_json
    from fsm.backtest.rules_through import ticks_through

    candles, found = CandleFolders(folders), {}
    for symbol in symbols or candles.symbols():
        try:
            feed = SymbolFeed.read(candles, symbol)
            shown = {symbol: feed.shown_decimals}
            spans = ticks_through(lambda at_ms: Rulebook.read(folders, at_ms), shown, feed.start_ms, feed.end_ms)
        except CandleFileError:  # told as a fault of its file
            continue
        found.update({name: ticks_as_json(each) for name, each in spans.items()})
    return found


def _print_steps(steps: dict[str, list[dict[str, str]]]) -> None:
    from fsm.backtest.result import tick_words

    for words in tick_words(steps):
        output.line(f"price step of {words}")


def _document(reports: list[Findings], faults: list[Fault], counts: dict[str, int]) -> dict[str, object]:
    return {
        "files": len(reports),
        "rows": sum(found.rows for found in reports),
        "counts": counts,
        "faults": [
            {
                "file": str(fault.file),
                "line": fault.line,
                "row": fault.row,
                "kind": fault.kind,
                "open_time_ms": fault.open_ms or None,
                "message": fault.message,
            }
            for fault in faults
        ],
        "unlisted": sum(counts.values()) - len(faults),
    }


def _print(reports: list[Findings], faults: list[Fault], counts: dict[str, int]) -> None:
    if faults:
        rows = [(f"{fault.file}:{fault.line}", fault.kind.value, fault.message) for fault in faults]
        output.table(("file:line", "kind", "what"), rows)
        output.line()
    looked = f"{output.counted(len(reports), 'file')}, {output.counted(sum(found.rows for found in reports), 'row')}"
    if not faults:
        output.line(f"{looked}: fine")
        return
    named = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))
    unlisted = sum(counts.values()) - len(faults)
    output.line(f"{looked}: {named}" + (f"; {unlisted:,} of them not listed" if unlisted else ""))
