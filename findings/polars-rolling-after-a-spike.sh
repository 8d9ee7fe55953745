#!/usr/bin/env bash
# Guess: the standard deviation of the last 20 volumes depends on the last 20 volumes.
# What happens: in polars one candle whose volume is a hundred million times the usual (the hour of a listing) is felt for
# ever: 60 candles later the deviation of volumes between 1 and 2 is three times the true one, after a larger one thousands.
# bottleneck errs in the same way. numpy over each window, pandas and TA-Lib's STDDEV agree to twelve digits, though the mean
# of TA-Lib keeps a trace of it as well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==1.42.1 pandas==3.1.1 numpy==2.4.6 bottleneck==1.6.0 \
    TA-Lib==0.8.2
"$folder/venv/bin/python" - <<'EOF'
from importlib.metadata import version

import bottleneck
import numpy
import pandas
import polars
import talib

WINDOW, LATER = 20, 60
print(*(f"{name} {version(name)}" for name in ("polars", "pandas", "bottleneck", "TA-Lib", "numpy")))
random = numpy.random.default_rng(3)
for spike in (1e8, 1e12):
    volumes = numpy.concatenate([random.uniform(1, 2, 50), [spike], random.uniform(1, 2, 200)])
    at = 51 + LATER
    true = float(volumes[at - WINDOW + 1 : at + 1].std(ddof=1))
    found = {
        "pandas": pandas.Series(volumes).rolling(WINDOW).std().iloc[at],
        "TA-Lib": talib.STDDEV(volumes, WINDOW)[at] * (WINDOW / (WINDOW - 1)) ** 0.5,
        "bottleneck": bottleneck.move_std(volumes, WINDOW, ddof=1)[at],
        "polars": polars.Series(volumes).rolling_std(WINDOW)[at],
    }
    print(f"{LATER} candles after one of {spike:.0e}: true {true:.6f}", *(f"{name} {value:.6f}" for name, value in found.items()))
    assert all(abs(found[name] / true - 1) < 1e-11 for name in ("pandas", "TA-Lib"))
    assert all(abs(found[name] / true - 1) > 0.2 for name in ("bottleneck", "polars"))
EOF
