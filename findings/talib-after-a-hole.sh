#!/usr/bin/env bash
# Guess: one missing price spoils an indicator of ten candles for ten candles, and one that cannot say anything says NaN.
# What happens: sums slide, so SMA, EMA and SUM are NaN for ever after; MAX and ROC are right again once the hole has left
# the window; and RSI is a number: 0.0 for ever, which every strategy reads as oversold, on a market that only rises.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check TA-Lib==0.8.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'EOF'
import numpy
import talib

print("TA-Lib", talib.__version__)
whole = numpy.arange(1.0, 201.0)
holed = whole.copy()
holed[30] = numpy.nan
seen = {name: float(getattr(talib, name)(holed, timeperiod=10)[-1]) for name in ("SMA", "EMA", "SUM", "MAX", "ROC", "RSI")}
right = {name: float(getattr(talib, name)(whole, timeperiod=10)[-1]) for name in seen}
for name in seen:
    print(f"{name:<4} 169 candles after the hole: {seen[name]:.4f}, without a hole {right[name]:.4f}")
assert all(numpy.isnan(seen[name]) for name in ("SMA", "EMA", "SUM"))
assert seen["MAX"] == right["MAX"] and seen["ROC"] == right["ROC"]
assert seen["RSI"] == 0.0 and right["RSI"] == 100.0
EOF
