#!/usr/bin/env bash
# Guess: the integer behind a time stamp is nanoseconds in pandas, however one gets at it.
# What happens: .value of one stamp is nanoseconds; astype("int64") of an index of the very same stamp is microseconds, or
# whatever unit the index came in: an index read from milliseconds and one cut out of nanoseconds differ by a thousand
# although they are equal. Divided by a million to get milliseconds, as years of examples do, candles land in January 1970.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'EOF'
import pandas

print("pandas", pandas.__version__)
stamp = pandas.Timestamp(1735689600000, unit="ms")
made = {
    "to_datetime of milliseconds": pandas.to_datetime([1735689600000], unit="ms"),
    "to_datetime of text": pandas.to_datetime(["2025-01-01"]),
    "from numpy nanoseconds": pandas.DatetimeIndex(pandas.Series([1735689600000000000]).astype("datetime64[ns]")),
}
print("value of the stamp:", stamp.value)
for name, index in made.items():
    print(f"{name}: {index.dtype} {int(index.astype('int64')[0])}, equal to the stamp: {bool((index == stamp).all())}")
numbers = {name: int(index.astype("int64")[0]) for name, index in made.items()}
assert all((index == stamp).all() for index in made.values())
assert stamp.value == 1735689600 * 10**9
assert numbers["to_datetime of milliseconds"] == 1735689600 * 10**6
assert numbers["from numpy nanoseconds"] == 1735689600 * 10**9
EOF
