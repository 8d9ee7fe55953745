"""Backtests by number: a restless market, rules and a config, so that over many of them everything happens often."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.result import Result
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from rules.load import parse_rules
from store.database import open_store

HOUR_MS = 3_600_000
FIRST_MS = 1_717_977_600_000  # 2024-06-10: a month ends while it trades
SYMBOLS = {"BTCUSDT": 60_000.0, "XRPUSDT": 0.6}

RULES = """
version: 1
timeframes: {{entry: {entry}}}
features:
  close_e: {{indicator: close, timeframe: {entry}}}
  high_e: {{indicator: high, timeframe: {entry}}}
  low_e: {{indicator: low, timeframe: {entry}}}
  fast: {{indicator: ema, timeframe: {entry}, period: 5}}
  slow: {{indicator: ema, timeframe: {entry}, period: 20}}
  rsi_e: {{indicator: rsi, timeframe: {entry}, period: 7}}
  atr_e: {{indicator: atr, timeframe: {entry}, period: 7}}
regimes:
  timeframe: {entry}
  confirmations: {confirmations}
  override_confidence: 1.0
  dwell_candles: {dwell}
  TREND:
    enter: [{{id: above, when: "fast > slow"}}]
    stay: [{{id: above, when: "fast > slow"}}]
    confidence: [{{value: rsi_e, zero_at: 0, full_at: 100}}]
  RANGE:
    enter: [{{id: below, when: "fast < slow"}}]
    stay: [{{id: below, when: "fast < slow"}}]
    confidence: [{{value: rsi_e, zero_at: 100, full_at: 0}}]
  BREAKOUT:
    enter: [{{id: hot, when: "rsi_e > 88"}}]
    stay: [{{id: hot, when: "rsi_e > 85"}}]
    confidence: [{{value: rsi_e, zero_at: 0, full_at: 100}}]
strategies:
  by_number:
    reward_risk_min: 0.01
    long:
      setup: [{{id: rising, when: "close_e > close_e[1] and rsi_e < {rsi_high}"}}]
      stop: "close_e - {stop_atr} * atr_e"
      targets: {long_targets}
      {long_upkeep}
    short:
      setup: [{{id: falling, when: "close_e < close_e[1] and rsi_e > {rsi_low}"}}]
      stop: "close_e + {stop_atr} * atr_e"
      targets: {short_targets}
      {short_upkeep}
    {manage}
router:
  TREND: {{strategy: by_number, enabled: true}}
  RANGE: {{strategy: by_number, enabled: {in_range}}}
  BREAKOUT: {{strategy: by_number, enabled: true}}
  {cooldown}
"""

CONFIG = """
version: 1
symbols: {{BTCUSDT: {{enabled: true}}, XRPUSDT: {{enabled: true}}}}
timeframes: {{trend: {entry}, setup: {entry}, entry: {entry}}}
account: {{leverage: {leverage}}}
orders: {{entry_type: {entry_type}, limit_offset_pct: 0.2, limit_expiry_candles: {expiry}, working_type: {working},
  price_moved_pct_max: 20, stop_move_pct_min: {move_min}}}
risk: {{risk_per_trade_pct: {risk}, max_open_risk_pct: 50, max_exposure_pct: 2000, max_symbol_exposure_pct: 2000,
  stop_distance_pct_min: 0.001, stop_distance_pct_max: 50, liquidation_distance_factor: 0.9}}
limits: {{daily_loss_pct: {day}, weekly_loss_pct: {week}, monthly_loss_pct: {month}, drawdown_pct: {drawdown},
  action: {action}, auto_resume: {auto_resume}}}
simulation: {{balance_usdt: {balance}, stop_depth_share: {depth}}}
"""


@dataclass(frozen=True)
class Case:
    """One request, but for how it is run."""

    number: int
    request: Request


def case(number: int, folder: Path) -> Case:
    """The backtest of this number; its files are written into ``folder``."""
    chance = Random(number)
    entry = chance.choice(["1h", "1h", "1h", "1h", "4h"])
    config = folder / "config.yaml"
    config.write_text(_config(chance, entry))
    request = Request(
        config=load_config(config, None, {}),
        rules=parse_rules(_rules(chance, entry), "rules.yaml"),
        data=(_market(chance, folder, 700 if entry == "1h" else 1_300),),
        symbols=tuple(SYMBOLS),
    )
    return Case(number, request)


def shipped(number: int, folder: Path) -> Case:
    """The same on real candles, with finer ones inside, recorded marks and funding."""
    made = case(number, folder)
    to_ms = 1_744_502_400_000  # 2025-04-13, after the days that have finer candles
    symbols = (("BTCUSDT", "ETHUSDT"), ("DOGEUSDT", "SOLUSDT"))[number % 2]
    changes = {"data": (shipped_folder(),), "symbols": symbols, "from_ms": to_ms - 14 * 24 * HOUR_MS, "to_ms": to_ms}
    fields = {name: getattr(made.request, name) for name in Request.__dataclass_fields__}
    return Case(number, Request(**{**fields, **changes}))


def seen(
    made: Case, folder: Path, *, every_candle: bool
) -> tuple[Result, Counter[str], dict[str, list[tuple[object, ...]]]]:
    """Result, what happened by name, and every row of the database."""
    fields = {name: getattr(made.request, name) for name in Request.__dataclass_fields__}
    db = folder / f"{made.number}-{every_candle}.sqlite"
    result = run_backtest(Request(**{**fields, "every_candle": every_candle, "db": db}))
    with open_store(db, mode="read") as store:
        names = [name for (name,) in store.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {name: sorted(store.connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}
        happened = _happened(store.connection.execute("SELECT trigger, reason FROM transitions"))
    happened["fundings"] = result.fundings
    return result, happened, tables


def _happened(rows: object) -> Counter[str]:
    found: Counter[str] = Counter()
    for trigger, reason in rows:  # type: ignore[attr-defined]
        found[f"{trigger} {reason}"] += 1
        if trigger == "flatten" and reason.startswith("LIMIT_"):
            found["flatten by a limit"] += 1
    return found


def _config(chance: Random, entry: str) -> str:
    day = chance.choice([0.6, 1.5, 3.0, 60.0])
    week, month = day * chance.choice([1.0, 1.4]), day * chance.choice([1.4, 1.6])
    return CONFIG.format(
        entry=entry,
        leverage=chance.choice([1, 2, 5, 10, 20]),
        entry_type=chance.choice(["MARKET", "MARKET", "LIMIT"]),
        expiry=chance.choice([1, 2, 5]),
        working=chance.choice(["MARK_PRICE", "CONTRACT_PRICE"]),
        move_min=chance.choice([0.0, 0.1, 1.0]),
        risk=min(chance.choice([0.5, 1.0, 3.0]), day / 2),
        day=day,
        week=round(week, 2),
        month=round(month, 2),
        drawdown=round(month + chance.choice([0.0, 0.2, 3]), 2),
        action="FLATTEN" if chance.random() < 0.5 or 1 < day < 60 else "BLOCK_ENTRIES",
        auto_resume=chance.choice(["true", "true", "true", "false"]),
        balance=chance.choice([1_000, 10_000, 1_000_000]),
        depth=chance.choice([0, 0.25, 1]),
    )


def _rules(chance: Random, entry: str) -> str:
    stop_atr = chance.choice([0.5, 1.0, 2.0, 6.0, 20.0])
    near, far = stop_atr * chance.choice([0.3, 1.0]), stop_atr * chance.choice([1.5, 4.0])
    partial = chance.random() < 0.6

    def targets(sign: str) -> str:
        last = f'{{price: "close_e {sign} {far} * atr_e", portion: {0.5 if partial else 1.0}}}'
        first = f'{{price: "close_e {sign} {near} * atr_e", portion: 0.5}}, ' if partial else ""
        return f"[{first}{last}]"

    trails, exits = chance.random() < 0.4, chance.random() < 0.4
    manage = []
    if chance.random() < 0.5:
        manage += [f"break_even_at_r: {chance.choice([0.3, 1.0])}", f"break_even_lock_r: {chance.choice([0.0, 0.1])}"]
    if chance.random() < 0.5:
        manage.append(f"exit_after_candles: {chance.choice([3, 12, 40])}")

    def upkeep(trail: str, gone: str) -> str:
        lines = [f'trail: "{trail}"'] if trails else []
        lines += [f'exit_when: [{{id: gone, when: "{gone}"}}]'] if exits else []
        return "\n      ".join(lines)

    width = stop_atr * chance.choice([0.4, 0.8])
    return RULES.format(
        entry=entry,
        confirmations=chance.choice([1, 3]),
        dwell=chance.choice([0, 5]),
        rsi_high=chance.choice([35, 60]),
        rsi_low=chance.choice([40, 65]),
        stop_atr=stop_atr,
        long_targets=targets("+"),
        short_targets=targets("-"),
        long_upkeep=upkeep(f"high_e - {width} * atr_e", "rsi_e > 75 and candles_held > 1"),
        short_upkeep=upkeep(f"low_e + {width} * atr_e", "rsi_e < 25 or close_e > entry + 0.7 * risk"),
        manage=f"manage: {{{', '.join(manage)}}}" if manage else "",
        in_range=chance.choice(["true", "false"]),
        cooldown=chance.choice(["", "cooldown: {losses: 2, candles: 7}"]),
    )


def _market(chance: Random, folder: Path, hours: int) -> Path:
    swing, gaps, is_holey = chance.choice([0.004, 0.01]), chance.choice([0.0, 0.02, 0.04]), chance.random() < 0.2
    with_marks, with_funding = chance.random() < 0.4, chance.random() < 0.6
    for symbol, price in SYMBOLS.items():
        digits, candles, marks = (1, [], []) if price > 1 else (4, [], [])  # type: tuple[int, list[str], list[str]]
        for hour in range(hours):
            if chance.random() < gaps:
                price *= 1 + chance.choice([-1, 1]) * chance.uniform(0.03, 0.25)
            close = price * (1 + chance.gauss(0, swing))
            high = max(price, close) * (1 + abs(chance.gauss(0, swing / 2)))
            low = min(price, close) * (1 - abs(chance.gauss(0, swing / 2)))
            at_ms = FIRST_MS + hour * HOUR_MS
            row = [round(each, digits) for each in (price, high, low, close)]
            if not (is_holey and hour > 250 and chance.random() < 0.004):
                candles.append(f"{at_ms},{','.join(map(str, row))},{chance.randrange(1, 900)}")
            skew = 1 + chance.gauss(0, 0.0005)
            mark = [price * skew, max(price, close) * max(skew, 1), min(price, close) * min(skew, 1), close]
            marks.append(f"{at_ms},{','.join(str(round(each, digits + 2)) for each in mark)},0")
            price = round(close, digits)
        _write(folder / f"{symbol}-1h.csv.gz", "open_time_ms,open,high,low,close,volume", candles)
        if with_marks:
            (folder / "mark").mkdir(exist_ok=True)
            _write(folder / "mark" / f"{symbol}-mark-1h.csv.gz", "open_time_ms,open,high,low,close,volume", marks)
        if with_funding:
            (folder / "funding").mkdir(exist_ok=True)
            rates = [f"{FIRST_MS + h * HOUR_MS},{chance.gauss(0, 0.0003):.8f}" for h in range(0, hours, 8)]
            _write(folder / "funding" / f"{symbol}-funding.csv.gz", "funding_time_ms,funding_rate", rates)
    return folder


def _write(path: Path, header: str, lines: list[str]) -> None:
    path.write_bytes(gzip.compress("\n".join([header, *lines]).encode() + b"\n", compresslevel=1, mtime=0))
