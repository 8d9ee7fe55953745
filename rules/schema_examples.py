"""An example for every key of a rules file, which editors show and offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SETUP = [{"id": "breaks_out", "when": "close_1d > high_55_1d"}]
_LONG = {"setup": _SETUP, "stop": "entry - 2 * atr_1d"}
_ENTER = [{"id": "adx_strong", "when": "adx_4h >= adx_min"}]
_RAMP = {"value": "adx_4h", "zero_at": 20, "full_at": "adx_strong"}

EXAMPLES: Mapping[str, Any] = {
    "version": 1,
    "timeframes": {"entry": "1h", "setup": "4h"},
    "thresholds": {"adx_min": 25, "stop_atr": 2.0},
    "thresholds.value": 25,
    "range": [10, 40],
    "step": 5,
    "features": {"atr_1h": {"indicator": "atr", "timeframe": "1h", "period": 14}},
    "choices": {"goal": {"use": "middle", "options": {"middle": "bb_middle_4h", "ema": "ema20_4h"}}},
    "choices.use": "middle",
    "choices.options": {"middle": "bb_middle_4h", "ema": "ema20_4h"},
    "define": {"uptrend": "close_1d > ema50_1d"},
    "sessions": {"europe": {"from": "08:00", "to": "16:30", "days": [1, 2, 3, 4, 5]}},
    "from": "08:00",
    "to": "16:30",
    "days": [1, 2, 3, 4, 5],
    "regimes": {"timeframe": "4h", "TREND": {"enter": _ENTER}},
    "timeframe": "4h",
    "confirmations": 3,
    "override_confidence": 0.8,
    "dwell_candles": 3,
    "exclusive": ["TREND", "RANGE"],
    "priority": ["BREAKOUT", "TREND"],
    "enter": _ENTER,
    "stay": [{"id": "adx_holds", "when": "adx_4h >= 20"}],
    "confidence": [_RAMP],
    "value": "adx_4h",
    "zero_at": 20,
    "full_at": "adx_strong",
    "strategies": {"donchian": {"long": _LONG}},
    "enabled": False,
    "reward_risk_min": 1.5,
    "risk": 0.5,
    "limits": {"max_open_positions": 2},
    "max_open_positions": 2,
    "max_open_risk_pct": 1.0,
    "long": _LONG,
    "short": {"setup": [{"id": "breaks_down", "when": "close_1d < low_55_1d"}], "stop": "entry + 2 * atr_1d"},
    "manage": {"break_even_at_r": 1.5, "exit_after_candles": 48},
    "break_even_at_r": 1.5,
    "break_even_lock_r": 0.1,
    "exit_after_candles": 48,
    "exit_on_opposite": True,
    "exit_on_regime_end": True,
    "setup": _SETUP,
    "stop": "entry - 2 * atr_1d",
    "targets": [{"price": "entry + 2 * risk", "portion": 0.5}, {"price": "entry + 4 * risk", "portion": 0.5}],
    "price": "entry + 2 * risk",
    "portion": 0.5,
    "accept": [{"id": "stop_beyond_noise", "when": "risk >= 2 * atr_1h"}],
    "trail": "close_1h - 3 * atr_1h",
    "exit_when": [{"id": "trend_gone", "when": "close_1d < ema50_1d"}],
    "id": "breaks_out",
    "when": "close_1d > high_55_1d",
    "any": [{"id": "rises", "when": "slope_1d > 0"}, {"id": "wakes_up", "when": "atr_ratio_4h >= 1.4"}],
    "router": {"TREND": "trend_pullback", "cooldown": {"losses": 3, "candles": 24}},
    "cooldown": {"losses": 3, "candles": 24},
    "losses": 3,
    "candles": 24,
    "strategy": "trend_pullback",
    "indicator": "supertrend",
    "symbols": {"SOLUSDT": {"thresholds": {"adx_min": 30}}},
    "symbol.choices": {"goal": "ema"},
    "symbol.router": {"TREND": {"enabled": False}},
    "symbol.strategies": {"donchian": {"manage": {"exit_after_candles": 24}}},
}
"""By key, or by the place that it belongs to and the key where one key means several things."""


def with_examples(node: Any, place: str = "") -> Any:
    """The schema, with an example at every key that it describes. ``place``: the key or definition that has it."""
    if isinstance(node, list):
        return [with_examples(each, place) for each in node]
    if not isinstance(node, dict):
        return node
    shown = {key: with_examples(each, place) for key, each in node.items() if key not in ("properties", "$defs")}
    if "properties" in node:
        shown["properties"] = {key: _exemplified(key, each, place) for key, each in node["properties"].items()}
    if "$defs" in node:
        shown["$defs"] = {name: with_examples(each, name) for name, each in node["$defs"].items()}
    return {key: shown[key] for key in node}


def _exemplified(key: str, node: dict[str, Any], place: str) -> dict[str, Any]:
    inside: dict[str, Any] = with_examples(node, key)
    name = f"{place}.{key}" if f"{place}.{key}" in EXAMPLES else key
    return inside | {"examples": [EXAMPLES[name]]} if name in EXAMPLES else inside
