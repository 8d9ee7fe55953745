#!/usr/bin/env bash
# Guess: a function that takes returns takes them as returns, whatever their size: 1.2 is a year of +120 %.
# What happens: a series without a loss in which one return is above 1 is taken for prices and differenced. Three years of
# +120 %, +150 % and +110 % have a best year of +25 % and a negative Sharpe ratio, while the same package compounds the
# same series as returns. Where all stay below 1 everything is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check quantstats==0.0.86 pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'EOF'
import warnings

warnings.simplefilter("ignore")
import pandas
import quantstats
from quantstats import stats

print("quantstats", quantstats.__version__, "pandas", pandas.__version__)
days = pandas.date_range("2021-12-31", periods=3, freq="YE")
great = pandas.Series([1.2, 1.5, 1.1], index=days)
good = pandas.Series([0.9, 0.8, 0.95], index=days)
for name, series in (("+120 %, +150 %, +110 %", great), ("+90 %, +80 %, +95 %", good)):
    print(f"{name}: best {stats.best(series):+.2f}, sharpe {stats.sharpe(series, periods=1):+.2f}, "
          f"volatility {stats.volatility(series, annualize=False):.4f} (by hand {series.std():.4f}), "
          f"compounded {stats.comp(series):+.2f}")
assert round(stats.best(great), 4) == 0.25
assert stats.sharpe(great, periods=1) < 0 < stats.sharpe(good, periods=1)
assert round(stats.comp(great), 2) == 10.55
assert round(stats.volatility(good, annualize=False), 6) == round(good.std(), 6)
EOF
