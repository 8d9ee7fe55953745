#!/usr/bin/env bash
# Guess: a function compiled by numba gives what the same lines give in Python, if only slower ones: round(price, 2) is a
# float in both, and so is the sum of an array.
# What happens: of 20,000 prices with three decimals hundreds are rounded to another cent: Python decides by the exact binary
# value, numba multiplies by 100 first. The sum of a column differs from numpy's in its last digits, as numba adds from left
# to right (like cumsum) and numpy in pairs. A backtest that is compiled to be faster trades at other prices.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'EOF'
import numba
import numpy

print("numba", numba.__version__, "numpy", numpy.__version__)
random = numpy.random.default_rng(0)
prices = [round(float(price), 3) for price in random.uniform(0, 100, 20_000)]
rounded = numba.njit(lambda price: round(price, 2))
other = [(price, rounded(price), round(price, 2)) for price in prices if rounded(price) != round(price, 2)]
print(f"{len(other)} of {len(prices)} prices are rounded to another cent: price, numba, Python: {other[:3]}")
results = random.normal(0.01, 1, 200_000)
total = numba.njit(lambda column: numpy.sum(column))(results)
print("sum:", repr(float(total)), "numpy:", repr(float(numpy.sum(results))), "cumsum:", repr(float(numpy.cumsum(results)[-1])))
assert len(other) > 500
assert total == numpy.cumsum(results)[-1] != numpy.sum(results)
EOF
