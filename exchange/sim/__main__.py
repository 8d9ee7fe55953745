"""Command line of the simulated exchange: ``python -m exchange.sim``."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click

from exchange.candle_columns import CandleFileError
from exchange.errors import MalformedReply
from exchange.sim.options import account_options, symbols_of
from exchange.sim.server.faults import FaultError
from exchange.sim.server.saved import StateError
from exchange.sim.server.serve import Process, serve
from exchange.sim.server.setup import SettingError, SimulationSetup
from indicators.candle import Timeframe

_USAGE, _REFUSED = 2, 3


def _time_ms(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    if re.fullmatch(r"\d{12,13}", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r}; write 2025-06-30, 2025-06-30T14:00 (UTC) or milliseconds") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def _speed(_: click.Context, __: click.Parameter, speed: float) -> float:
    if not math.isfinite(speed):
        raise click.BadParameter(f"{speed} is no speed")
    return speed


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="On 127.0.0.1; 0 takes a free one.")
@click.option(
    "--data", type=click.Path(path_type=Path), multiple=True, help="Store or folder of candle files; may be repeated."
)
@click.option(
    "--instead",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder for symbols that --data has nothing of; may be repeated.",
)
@click.option("--start", callback=_time_ms, help="Simulated time to begin at; the middle of the data by default.")
@click.option(
    "--speed",
    callback=_speed,
    type=click.FloatRange(0, 1e9),
    default=1.0,
    help="Simulated ms per real ms; 0 = stepped.",
)
@click.option("--symbols", callback=symbols_of, default="", help="A,B; all that the data has by default.")
@click.option(
    "--step",
    type=click.Choice([timeframe.value for timeframe in Timeframe if timeframe.ms <= Timeframe.H1.ms]),
    default="1h",
    help="Length of the bars that prices move in, and of the shortest candles.",
)
@account_options
@click.option("--faults", type=click.Path(path_type=Path), help="YAML file of fault rules.")
@click.option("--clock-slack-ms", type=click.IntRange(-1), default=0, help="More room for time stamps; -1 = no check.")
@click.option("--state", type=click.Path(path_type=Path), help="Save account and clock here, and go on from there.")
@click.option("--with-parent", is_flag=True, help="End when the process that started this one is gone.")
def main(
    port: int,
    data: tuple[Path, ...],
    instead: tuple[Path, ...],
    start: int | None,
    speed: float,
    seed: int,
    symbols: tuple[str, ...],
    step: str,
    balance: Decimal,
    maker_fee_pct: Decimal,
    taker_fee_pct: Decimal,
    slippage_pct: Decimal,
    stop_depth_share: float,
    faults: Path | None,
    clock_slack_ms: int,
    state: Path | None,
    with_parent: bool,
) -> None:
    """A simulated Binance USDT-M exchange on recorded candles: REST and WebSocket on one loopback port.

    The first line on stdout is JSON with addresses and keys.
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    setting = SimulationSetup(
        folders=data,
        instead=instead,
        symbols=symbols,
        step=Timeframe(step),
        start_ms=start,
        speed=speed,
        seed=seed,
        balance=balance,
        maker_fee_pct=maker_fee_pct,
        taker_fee_pct=taker_fee_pct,
        slippage_pct=slippage_pct,
        stop_depth=Decimal(str(stop_depth_share)),
        faults=faults,
        slack_ms=clock_slack_ms,
    )
    try:
        asyncio.run(serve(setting, Process(port=port, state=state, with_parent=with_parent)))
    except (SettingError, CandleFileError, FaultError, MalformedReply) as error:
        _stop(_USAGE, error)
    except (StateError, OSError) as error:
        _stop(_REFUSED, error)


def _stop(code: int, error: Exception) -> None:
    click.echo(f"error: {error}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
