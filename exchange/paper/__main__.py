"""Command line of the exchange on paper: ``python -m exchange.paper``."""

from __future__ import annotations

import asyncio
import logging
import sys
from decimal import Decimal
from pathlib import Path

import click

from exchange.candle_columns import CandleFileError
from exchange.errors import MalformedReply
from exchange.paper.clock import OwnClock
from exchange.paper.serve import NoPrices, PaperSetup, serve
from exchange.sim.options import account_options, symbols_of
from exchange.sim.server.saved import StateError
from exchange.sim.server.serve import Process

_USAGE, _REFUSED = 2, 3


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rest", required=True, help="Where public questions are asked, such as https://fapi.binance.com.")
@click.option("--ws", "streams", required=True, multiple=True, help="Where prices are streamed from; may be repeated.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="On 127.0.0.1; 0 takes a free one.")
@click.option("--symbols", callback=symbols_of, default="", help="A,B; others get prices when they are asked for.")
@click.option(
    "--brackets",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder with a brackets.json of your own, for symbols whose brackets are not shipped; may be repeated.",
)
@account_options
@click.option("--state", type=click.Path(path_type=Path), help="Save the account here, and go on from there.")
@click.option("--with-parent", is_flag=True, help="End when the process that started this one is gone.")
def main(
    rest: str,
    streams: tuple[str, ...],
    port: int,
    symbols: tuple[str, ...],
    brackets: tuple[Path, ...],
    seed: int,
    balance: Decimal,
    maker_fee_pct: Decimal,
    taker_fee_pct: Decimal,
    slippage_pct: Decimal,
    stop_depth_share: float,
    state: Path | None,
    with_parent: bool,
) -> None:
    """A simulated account on the real exchange's live prices and rules, behind the same interface; no keys are used.

    The first line on stdout is JSON with addresses and the keys of the simulated account.
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    setup = PaperSetup(
        rest_url=rest,
        ws_urls=streams,
        symbols=symbols,
        brackets=brackets,
        seed=seed,
        balance=balance,
        maker_fee_pct=maker_fee_pct,
        taker_fee_pct=taker_fee_pct,
        slippage_pct=slippage_pct,
        stop_depth=Decimal(str(stop_depth_share)),
    )
    process = Process(port=port, state=state, with_parent=with_parent)
    try:
        asyncio.run(serve(setup, process, OwnClock()))
    except (CandleFileError, MalformedReply) as error:
        _stop(_USAGE, error)
    except (NoPrices, StateError, OSError) as error:
        _stop(_REFUSED, error)


def _stop(code: int, error: Exception) -> None:
    click.echo(f"error: {error}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
