#!/usr/bin/env bash
# Guess: candles of a week and of a month that a library builds from trades begin where the same library says that the week
# and the month of a time begin: on Monday and on the first, as at the exchange.
# What happens: round_timeframe knows calendar weeks and months. build_ohlcvc divides the time since 1970 by the length: its
# weeks begin on Thursdays, its months on every thirtieth day, here on 13 December and 12 January. Joined with the
# exchange's own weekly candles by the day on which they begin, not one of them finds its like; joined by the nearest before,
# each is three days off. Days and everything shorter agree.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ccxt==4.5.90
"$folder/venv/bin/python" - <<'PYTHON'
from datetime import UTC, datetime, timedelta

import ccxt

print("ccxt", ccxt.__version__)
first = datetime(2025, 1, 9, 12, tzinfo=UTC)
trades = [
    {"timestamp": int((first + timedelta(hours=6 * n)).timestamp() * 1000), "price": 100.0 + n, "amount": 1.0}
    for n in range(60)
]
exchange = ccxt.binanceusdm()


def shown(stamp: int) -> str:
    return datetime.fromtimestamp(stamp / 1000, UTC).strftime("%a %Y-%m-%d")


expected = {
    "1d": ("Thu 2025-01-09", "Thu 2025-01-09"),
    "1w": ("Mon 2025-01-06", "Thu 2025-01-09"),
    "1M": ("Wed 2025-01-01", "Fri 2024-12-13"),
}
for timeframe, wanted in expected.items():
    said = shown(ccxt.Exchange.round_timeframe(timeframe, trades[0]["timestamp"]))
    built = [shown(candle[0]) for candle in exchange.build_ohlcvc(trades, timeframe)]
    print(f"{timeframe}: round_timeframe says {said}; build_ohlcvc begins at {', '.join(built[:3])}")
    assert (said, built[0]) == wanted, (said, built[0])
PYTHON
