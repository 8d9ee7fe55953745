"""Variants by number: rules with every indicator and function, settings with every cap, so that each comes often."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request
from fsm.config import load_config
from indicators.catalog import CATALOG, Unit, example
from rules.load import parse_rules
from tests.integration.generated_runs import HOUR_MS, SYMBOLS, _market

INDICATORS_EACH = 26
"""Of the catalog, in turn, in each set of rules."""

LAST_MS = 1_744_502_400_000  # 2025-04-13, after the days that have finer candles
SHIPPED = ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")

FUNCTIONS = {
    "highest": "close_e >= highest(low_e, {n}) + 0.1 * atr_e",
    "lowest": "lowest(low_e, {n}) < close_e",
    "count": "count(close_e > close_e[1], {n}) >= 2",
    "since": "since(close_e > fast) <= {n}",
    "value_when": "value_when(close_e > fast, high_e) > close_e - {n} * atr_e",
    "crosses_above": "not crosses_above(fast, slow)",
    "crosses_below": "not crosses_below(fast, slow)",
    "between": "between(rsi_e, 20, 80)",
    "min": "min(close_e, close_e[1], close_e[2]) < high_e",
    "max": "max(close_e, close_e[1]) > low_e",
    "abs": "abs(close_e - slow) < {n} * atr_e",
    "hour": "hour < {n} or hour > 10",
    "session": "asia or london or new_york or close_e > 0",
}

RULES = """
version: 1
timeframes: {{entry: 1h}}
features:
  close_e: {{indicator: close, timeframe: 1h}}
  high_e: {{indicator: high, timeframe: 1h}}
  low_e: {{indicator: low, timeframe: 1h}}
  fast: {{indicator: ema, timeframe: 1h, period: {fast}}}
  slow: {{indicator: ema, timeframe: 1h, period: 20}}
  rsi_e: {{indicator: rsi, timeframe: 1h, period: 7}}
  atr_e: {{indicator: atr, timeframe: 1h, period: 7}}
{features}
regimes:
  timeframe: 1h
  confirmations: {confirmations}
  UP:
    enter: [{{id: above, when: "fast > slow"}}]
    stay: [{{id: above, when: "fast > slow"}}]
    confidence: [{{value: rsi_e, zero_at: 0, full_at: 100}}]
  DOWN:
    enter: [{{id: below, when: "fast < slow"}}]
    stay: [{{id: below, when: "fast < slow"}}]
    confidence: [{{value: rsi_e, zero_at: 100, full_at: 0}}]
strategies:
  first:
    {reward}
    long:
      setup:
        - {{id: rising, when: "close_e > close_e[1] and rsi_e < {rsi_high}"}}
{first}
      stop: "close_e - {stop} * atr_e"
      {targets_long}
      {trail_long}
    short:
      setup:
        - {{id: falling, when: "close_e < close_e[1] and rsi_e > {rsi_low}"}}
{second}
      stop: "close_e + {stop} * atr_e"
      {targets_short}
      {trail_short}
    manage: {{exit_after_candles: {after}, exit_on_opposite: {opposite}, exit_on_regime_end: {ends}{breaks}}}
    risk: {risk}
    limits: {{max_open_positions: {positions}, max_open_risk_pct: 4}}
    {cooldown}
  second:
    long:
      setup: [{{id: fell, when: "rsi_e < 40 and close_e > low_e"}}]
      stop: "low_e - {stop} * atr_e"
      accept: [{{id: near, when: "risk <= 30 * atr_e"}}]
      exit_when: [{{id: up, when: "rsi_e > 60 or close_e > entry + 2 * risk"}}]
router:
  UP: [first, second]
  DOWN: [second, first]
  {rest}
"""

CONFIG = """
version: 1
symbols: {{BTCUSDT: {{leverage: {own_leverage}}}, DOGEUSDT: {{risk_per_trade_pct: {own_risk}}}}}
timeframes: {{trend: 1h, setup: 1h, entry: 1h}}
account: {{leverage: {leverage}}}
orders: {{entry_type: {entry_type}, limit_offset_pct: {offset}, limit_expiry_candles: {expiry},
  working_type: {working}, price_moved_pct_max: {moved}, stop_move_pct_min: {move_min}}}
risk: {{risk_per_trade_pct: {risk}, max_open_positions: {positions}, max_open_risk_pct: {open_risk},
  max_correlated_risk_pct: {correlated}, max_same_direction_risk_pct: {same}, max_exposure_pct: {exposure},
  max_symbol_exposure_pct: {symbol_exposure}, stop_distance_pct_min: {near}, stop_distance_pct_max: {far},
  liquidation_distance_factor: {liquidation}, margin_short: {short}, taker_fee_pct: {fee}, slippage_pct: {slip}}}
limits: {{daily_loss_pct: {day}, weekly_loss_pct: {week}, monthly_loss_pct: {month}, drawdown_pct: 90,
  action: {action}}}
simulation: {{balance_usdt: {balance}, stop_depth_share: {depth}, slippage_pct: {real_slip}, taker_fee_pct: {real_fee},
  maker_fee_pct: {maker}}}
"""


def variant(number: int, folder: Path) -> tuple[Request, Counter[str]]:
    """The backtest of this number, and what of the catalog and the language its rules use."""
    chance = Random(1_000_000 + number)
    config = folder / "config.yaml"
    config.write_text(_config(chance))
    text, used = _rules(chance, number)
    if number % 2:
        days, symbols = chance.choice([10, 20]), tuple(sorted(chance.sample(SHIPPED, chance.choice([1, 2, 3, 5]))))
        data, to_ms = shipped_folder(), LAST_MS - chance.choice([0, 40]) * 24 * HOUR_MS
        from_ms = to_ms - days * 24 * HOUR_MS
    else:
        data, symbols, from_ms, to_ms = _market(chance, folder, 600), tuple(SYMBOLS), None, None
    request = Request(
        config=load_config(config, None, {}),
        rules=parse_rules(text, "rules.yaml"),
        data=(data,),
        symbols=symbols,
        from_ms=from_ms,
        to_ms=to_ms,
    )
    return request, used


def _config(chance: Random) -> str:
    day = chance.choice([1.0, 3.0, 60.0])
    exposure = chance.choice([50, 150, 2_000])
    return CONFIG.format(
        own_leverage=chance.choice([1, 3]),
        own_risk=chance.choice([0.1, 0.4]),
        leverage=chance.choice([1, 2, 10, 40]),
        entry_type=chance.choice(["MARKET", "MARKET", "LIMIT"]),
        offset=chance.choice([0, 0.1, 0.5]),
        expiry=chance.choice([1, 3]),
        working=chance.choice(["MARK_PRICE", "CONTRACT_PRICE"]),
        moved=chance.choice([0.05, 1, 20]),
        move_min=chance.choice([0.0, 0.1]),
        risk=min(chance.choice([0.2, 1.0, 2.0]), day / 2),
        positions=chance.choice([1, 2, 5]),
        open_risk=chance.choice([2, 3, 50]),
        correlated=chance.choice(["null", 1.5, 3]),
        same=chance.choice(["null", 1.2, 4]),
        exposure=exposure,
        symbol_exposure=min(exposure, chance.choice([40, 75, 2_000])),
        near=chance.choice([0.001, 0.5]),
        far=chance.choice([5, 50]),
        liquidation=chance.choice([0.5, 0.9]),
        short=chance.choice(["SHRINK", "SKIP"]),
        fee=chance.choice([0.05, 0]),
        slip=chance.choice([0.05, 0]),
        day=day,
        week=round(day * 1.5, 2),
        month=round(day * 1.6, 2),
        action=chance.choice(["FLATTEN", "BLOCK_ENTRIES"]),
        balance=chance.choice([500, 10_000, 5_000_000]),
        depth=chance.choice([0, 0.25]),
        real_slip=chance.choice([0, 0.02, 0.1]),
        real_fee=chance.choice([0.05, 0.02, 0.1]),
        maker=chance.choice([0.02, -0.01, 0]),
    )


def _rules(chance: Random, number: int) -> tuple[str, Counter[str]]:
    names = [*CATALOG]
    chosen = [names[(number * INDICATORS_EACH + each) % len(names)] for each in range(INDICATORS_EACH)]
    functions = chance.sample([*FUNCTIONS], 5)
    used = Counter({f"indicator {name}": 1 for name in chosen})
    used.update(f"function {name}" for name in functions)
    features = "\n".join(_feature(name, chance) for name in chosen)
    half = INDICATORS_EACH // 2
    stop = chance.choice([0.5, 1.5, 6.0])
    first = _groups(chosen[:half], functions[:3], chance)
    second = _groups(chosen[half:], functions[3:], chance)
    trails = chance.random() < 0.5
    portions = chance.choice([(), (1.0,), (0.5, 0.5), (0.3, 0.3, 0.4)])
    text = RULES.format(
        fast=chance.choice([4, 8]),
        features=features,
        confirmations=chance.choice([1, 2]),
        rsi_high=chance.choice([60, 80]),
        rsi_low=chance.choice([20, 40]),
        first=first,
        second=second,
        stop=stop,
        reward="reward_risk_min: 0.01" if portions else "",
        targets_long=_targets(portions, "+", stop),
        targets_short=_targets(portions, "-", stop),
        trail_long=f'trail: "high_e - {stop} * atr_e"' if trails else "",
        trail_short=f'trail: "low_e + {stop} * atr_e"' if trails else "",
        after=chance.choice([6, 30]),
        opposite=chance.choice(["true", "false"]),
        ends=chance.choice(["true", "false"]),
        breaks=", break_even_at_r: 0.5, break_even_lock_r: 0.1" if chance.random() < 0.4 else "",
        risk=chance.choice([1, 0.5]),
        positions=chance.choice([1, 2, 4]),
        cooldown=chance.choice(["", "cooldown: {losses: 2, candles: 5}"]),
        rest=chance.choice(["", "cooldown: {losses: 3, candles: 9}"]),
    )
    return text, used


def _feature(name: str, chance: Random) -> str:
    given = "".join(f", {key}: {value}" for key, value in example(CATALOG[name]).params.items())
    return f"  x_{name}: {{indicator: {name}, timeframe: {chance.choice(['1h', '1h', '4h'])}{given}}}"


def _groups(names: list[str], functions: list[str], chance: Random) -> str:
    """Conditions of which one of several is enough, so that something is traded all the same."""
    found = []
    for place, name in enumerate(names):
        said = f"x_{name}" if CATALOG[name].unit is Unit.FLAG else f"x_{name} > x_{name}[{chance.choice([1, 3])}]"
        found.append(f'            - {{id: i{place}, when: "{said}"}}')
    groups = [found[first : first + 5] for first in range(0, len(found), 5)]
    lines = [line for group in groups for line in ("        - any:", *group)]
    for place, name in enumerate(functions):
        said = FUNCTIONS[name].format(n=chance.choice([3, 9]))
        lines.append(f'        - {{id: f{place}, when: "{said}"}}')
    return "\n".join(lines)


def _targets(portions: tuple[float, ...], sign: str, stop: float) -> str:
    levels = [
        f'{{price: "close_e {sign} {round(stop * 0.6 * (place + 1), 3)} * atr_e", portion: {portion}}}'
        for place, portion in enumerate(portions)
    ]
    return f"targets: [{', '.join(levels)}]" if levels else ""
