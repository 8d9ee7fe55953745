#!/usr/bin/env bash
# Guess: two libraries for tables that gather hourly candles into longer ones begin those at the same hours and name them by
# their beginning.
# What happens: for lengths that divide a day they agree. For others (7h here) pandas counts from midnight of the first
# day that it is given, so the same hour falls into other candles when the data begins on another day; polars counts from
# 1970. And a week of pandas is named by the Sunday at its end, though every shorter length is named by its beginning:
# joined with the week of polars, named by its Monday, it is one week off, and knows the future.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 polars==2.1.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'EOF'
import datetime

import pandas
import polars

print("pandas", pandas.__version__, "polars", polars.__version__)


def by_both(first, every):
    hours = [first + datetime.timedelta(hours=n) for n in range(48)]
    one = pandas.DataFrame({"o": range(48)}, index=pandas.DatetimeIndex(hours)).resample(every).first()
    other = polars.DataFrame({"t": hours, "o": range(48)}).group_by_dynamic("t", every=every.lower()).agg(
        polars.col("o").first())
    return [stamp.to_pydatetime() for stamp in one.index], other["t"].to_list()


first, second = datetime.datetime(2025, 1, 1), datetime.datetime(2025, 1, 2)
for every in ("4h", "7h", "1W"):
    for day in (first, second):
        ours, theirs = by_both(day, every)
        print(f"{every} from {day:%m-%d}: pandas", *(f"{at:%m-%d %H}h" for at in ours[:3]),
              "| polars", *(f"{at:%m-%d %H}h" for at in theirs[:3]))
assert by_both(first, "4h")[0] == by_both(first, "4h")[1]
whole, later = by_both(first, "7h"), by_both(second, "7h")
assert not set(whole[0]) & set(later[0]), "pandas: the same hours, other candles"
assert set(later[1]) - set(whole[1]) <= set(later[1][-4:]), "polars: the same ones"
assert by_both(first, "1W")[0] == [datetime.datetime(2025, 1, 5)]
assert by_both(first, "1W")[1] == [datetime.datetime(2024, 12, 30)]
EOF
