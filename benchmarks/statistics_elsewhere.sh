#!/usr/bin/env bash
# What quantstats, empyrical and freqtrade say of the curves of docs/statistics.md, beside ours. They get an environment
# of their own in a temporary folder, and this program never sees them. Needs a package index: run it by hand.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q quantstats==0.0.86 empyrical-reloaded==0.7.1 pandas
"$folder/venv/bin/pip" install -q --no-deps freqtrade==2026.9

cat > "$folder/curves.py" <<'PYTHON'
def compounded(returns):
    equities = [10_000.0]
    for each in returns:
        equities.append(equities[-1] * (1 + each))
    return equities


CURVES = {
    "a hundred days": compounded([((n * 37) % 101 - 48) / 5_000 for n in range(100)]),
    "+10 %, -10 %, +10 %": compounded([0.1, -0.1, 0.1]),
    "the same, with ten idle days": compounded([0.1, -0.1, 0.1] + [0.0] * 10),
    "two equal losses": compounded([-0.1, -0.1]),
    "steady growth, +1 % a day": compounded([0.01] * 30),
    "flat": compounded([0.0] * 30),
}
PYTHON

cat > "$folder/ours.py" <<'PYTHON'
from decimal import Decimal
from curves import CURVES
from fsm.backtest.curve import calmar, max_drawdown_pct, return_yearly_pct, sharpe, sortino

for name, equities in CURVES.items():
    curve = [(day * 86_400_000, Decimal(repr(equity))) for day, equity in enumerate(equities)]
    figures = (sharpe, sortino, calmar, return_yearly_pct, max_drawdown_pct)
    print(name, "ours", *(figure(curve) for figure in figures), sep="|")
PYTHON

cat > "$folder/theirs.py" <<'PYTHON'
import importlib.util
import sys
import warnings
from datetime import datetime, timezone

warnings.simplefilter("ignore")
import empyrical
import numpy as np
import pandas as pd
import quantstats.stats as qs
from curves import CURVES

# alone: the package around it wants an exchange's libraries
found = importlib.util.find_spec("freqtrade").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("metrics", f"{found}/data/metrics.py")
metrics = importlib.util.module_from_spec(spec)
sys.modules["metrics"] = metrics
spec.loader.exec_module(metrics)


def told(figure, *arguments, factor=1, **named):
    try:
        return round(float(figure(*arguments, **named)) * factor, 6)
    except Exception as error:
        return type(error).__name__


for name, equities in CURVES.items():
    days = pd.date_range("2024-01-01", periods=len(equities), freq="D", tz=None)
    equity = pd.Series(equities, index=days)
    returns = equity.pct_change().iloc[1:]
    print(name, "quantstats", told(qs.sharpe, returns), told(qs.sortino, returns), told(qs.calmar, returns),
          told(qs.cagr, returns, factor=100), told(qs.max_drawdown, equity, factor=-100), sep="|")
    print(name, "empyrical", told(empyrical.sharpe_ratio, returns), told(empyrical.sortino_ratio, returns),
          told(empyrical.calmar_ratio, returns), told(empyrical.cagr, returns, factor=100),
          told(empyrical.max_drawdown, returns, factor=-100), sep="|")
    trades = pd.DataFrame({"profit_abs": equity.diff().iloc[1:].values, "close_date": days[1:].tz_localize("UTC")})
    trades["profit_ratio"] = returns.values
    first, last, start = (datetime(2024, 1, 1, tzinfo=timezone.utc), days[-1].tz_localize("UTC").to_pydatetime(), equities[0])
    print(name, "freqtrade", told(metrics.calculate_sharpe, trades, first, last, start),
          told(metrics.calculate_sortino, trades, first, last, start),
          told(metrics.calculate_calmar, trades, first, last, start),
          told(metrics.calculate_cagr, (last - first).days, start, equities[-1], factor=100),
          told(lambda: metrics.calculate_max_drawdown(trades, value_col="profit_abs", starting_balance=start).relative_account_drawdown, factor=100), sep="|")
PYTHON

{
    echo "curve|who|Sharpe|Sortino|Calmar|yearly %|drawdown %"
    PYTHONPATH="$folder:." .venv/bin/python "$folder/ours.py"
    PYTHONPATH="$folder" "$folder/venv/bin/python" "$folder/theirs.py"
} | column -t -s "|"
