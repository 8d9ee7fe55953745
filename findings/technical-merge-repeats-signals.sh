#!/usr/bin/env bash
# Guess: fill_na of a function that joins four-hour candles to hourly ones fills what it has joined: the three hours between
# two of them. What stood in the hourly table before stays as it was.
# What happens: every empty cell of the whole table is filled from above. A signal column with one 1 and nothing else, set
# before the join, is 1 in all candles after it: one entry becomes nineteen. A hole in the closes becomes a flat price. And the
# four-hour table that was handed in has other column names afterwards, so a second join with it raises.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check technical==1.7.0 TA-Lib==0.8.2 pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'EOF_PYTHON'
from importlib.metadata import version

import pandas as pd
from technical.util import resample_to_interval, resampled_merge

print("technical", version("technical"), "pandas", pd.__version__)
hours = pd.date_range("2025-01-01", periods=24, freq="1h", tz="UTC")
prices = [100.0 + n for n in range(24)]
hourly = pd.DataFrame({"date": hours, "open": prices, "high": prices, "low": prices, "close": prices, "volume": 1.0})
longer = resample_to_interval(hourly, 240)
hourly.loc[5, "enter_long"] = 1
hourly.loc[7, "close"] = None
joined = resampled_merge(hourly, longer, fill_na=True)
signals = (int(hourly["enter_long"].sum()), int(joined["enter_long"].sum()))
print("signals before and after:", *signals)
print("the close that is missing, before and after:", hourly["close"][7], joined["close"][7])
print("columns of the four-hour table:", *longer.columns[:3])
assert signals == (1, 19)
assert pd.isna(hourly["close"][7])
assert joined["close"][7] == 106.0
assert "date" not in longer.columns
EOF_PYTHON
