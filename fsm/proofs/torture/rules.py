"""Rules that trade often, in both directions, and use everything that a trade can be managed with; and wrong ones."""

from __future__ import annotations

from fsm.proofs.testkit.scripted_market import ALWAYS_TREND

REGIME_OF = "surge: 0.45"
LIVELY = f"""
version: 1
timeframes: {{entry: 1h}}
thresholds:
  surge: 0.45
features:
  close_1h: {{indicator: close, timeframe: 1h}}
  open_1h: {{indicator: open, timeframe: 1h}}
  low_1h: {{indicator: low, timeframe: 1h}}
  high_1h: {{indicator: high, timeframe: 1h}}
  atr_1h: {{indicator: atr, timeframe: 1h, period: 14}}
  last_low_1h: {{indicator: recent_low, timeframe: 1h, period: 3}}
  last_high_1h: {{indicator: recent_high, timeframe: 1h, period: 3}}
{ALWAYS_TREND}strategies:
  swing:
    reward_risk_min: 0.5
    long:
      setup: [{{id: surges, when: "close_1h > open_1h + surge * atr_1h"}}]
      stop: "min(low_1h, last_low_1h) - 0.2 * atr_1h"
      targets:
        - {{price: "entry + 0.8 * risk", portion: 0.5}}
        - {{price: "entry + 2 * risk", portion: 0.5}}
      exit_when: [{{id: falls, when: "close_1h < open_1h - 1.2 * atr_1h"}}]
      trail: "last_high_1h - 2 * atr_1h"
    short:
      setup: [{{id: drops, when: "close_1h < open_1h - surge * atr_1h"}}]
      stop: "max(high_1h, last_high_1h) + 0.2 * atr_1h"
      targets:
        - {{price: "entry - 0.8 * risk", portion: 0.5}}
        - {{price: "entry - 2 * risk", portion: 0.5}}
      exit_when: [{{id: rises, when: "close_1h > open_1h + 1.2 * atr_1h"}}]
      trail: "last_low_1h + 2 * atr_1h"
    manage:
      break_even_at_r: 0.7
      break_even_lock_r: 0.1
      exit_after_candles: 18
router:
  TREND: {{strategy: swing, enabled: true}}
  RANGE: {{strategy: swing, enabled: false}}
  BREAKOUT: {{strategy: swing, enabled: false}}
  cooldown: {{losses: 4, candles: 6}}
"""

WRONG = (
    "version: 1\nsymbols: [not, a, mapping\n",
    "version: 1\nunknown_key: 1\n",
    "",
    LIVELY.replace("atr_1h: {indicator: atr", "atr_1h: {indicator: nothing_like_it"),
)
"""Files that a trader might save in the middle of an edit."""
