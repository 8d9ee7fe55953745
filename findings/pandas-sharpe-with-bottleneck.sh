#!/usr/bin/env bash
# Guess: a package that nothing imports changes no figure: the Sharpe ratio of the same returns, with the same pandas, is
# the same to the last digit on every machine.
# What happens: where bottleneck is installed (empyrical-reloaded brings it along) pandas uses it unasked for the standard
# deviation, which adds up in another order. The ratio differs in its last digits, so a stored figure or the hash of a
# report is not reproduced by the same pandas in another environment, though nobody imported anything.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 numpy==2.4.6
cat >"$folder/sharpe.py" <<'EOF'
import importlib.util

import numpy
import pandas

returns = pandas.Series(numpy.random.default_rng(7).normal(0.0005, 0.01, 1000))
has = importlib.util.find_spec("bottleneck") is not None
print("pandas", pandas.__version__, "bottleneck" if has else "no bottleneck", repr(float(returns.mean() / returns.std())))
EOF
"$folder/venv/bin/python" "$folder/sharpe.py" | tee "$folder/without"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check bottleneck==1.6.0
"$folder/venv/bin/python" "$folder/sharpe.py" | tee "$folder/with"
grep -q 'no bottleneck -0.023656617009871556' "$folder/without"
grep -q ' bottleneck -0.023656617009871567' "$folder/with"
