#!/usr/bin/env bash
# Guess: a number in a query and the same number in a column of candles are rounded alike; whole-number division rounds down
# as in Python, where -7 // 2 is -4.
# What happens: a literal with a point is a decimal in DuckDB and its half goes away from zero, a column read from a file is a
# double and its half goes to the even side: 2.5 becomes 3 or 2 steps of quantity by how it was written, 2.675 becomes 2.68
# or 2.67. The average of exact decimals is a double and not exact any more. // and % cut towards zero: -3 and -1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1
"$folder/venv/bin/python" - <<'EOF'
import tempfile
from pathlib import Path

import duckdb

print("duckdb", duckdb.__version__)
file = Path(tempfile.mkdtemp(), "candles.csv")
file.write_text("steps,price\n2.5,2.675\n")


def ask(sql):
    (row,) = duckdb.sql(sql).fetchall()
    print(sql.replace(str(file), "candles.csv"), row)
    return tuple(float(value) if not isinstance(value, (int, str)) else value for value in row)


assert ask("SELECT 2.5::INTEGER, round(2.675, 2)") == (3, 2.68)
assert ask(f"SELECT steps::INTEGER, round(price, 2) FROM '{file}'") == (2, 2.67)
exact = "(VALUES (0.1::DECIMAL(18, 8)), (0.2), (0.3)) AS fees(fee)"
assert ask(f"SELECT avg(fee)::VARCHAR, sum(fee)::VARCHAR FROM {exact}") == ("0.19999999999999998", "0.60000000")
assert ask("SELECT -7 // 2, -7 % 3") == (-3, -1)
EOF
