#!/usr/bin/env bash
# Guess: a function that formats a number leaves the arithmetic of the thread that called it as it found it.
# What happens: after the first call of decimal_to_precision the context of the calling thread rounds halves up instead of
# to even, and has the Underflow trap on. Whatever else the thread computes with Decimal ends in other last digits from
# then on, or raises where it went on before. We saw it as one digit of a journal that was otherwise the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ccxt==4.5.90
"$folder/venv/bin/python" - <<'EOF'
import decimal
from decimal import Decimal

import ccxt
from ccxt.base.decimal_to_precision import DECIMAL_PLACES, ROUND, decimal_to_precision

print("ccxt", ccxt.__version__)


def seen():
    context = decimal.getcontext()
    halves = str(Decimal("0.125").quantize(Decimal("0.01")))
    try:
        tiny = str(Decimal("1E-999999") / 3)
    except decimal.Underflow:
        tiny = "raises Underflow"
    return {"rounding": context.rounding, "0.125 in two places": halves, "1E-999999 / 3": tiny}


before = seen()
print("before:", before)
print("the call answers", decimal_to_precision("1.5", ROUND, 0, DECIMAL_PLACES))
after = seen()
print("after: ", after)
assert before["0.125 in two places"] == "0.12"
assert after["rounding"] == "ROUND_HALF_UP"
assert after["0.125 in two places"] == "0.13"
assert after["1E-999999 / 3"] == "raises Underflow" != before["1E-999999 / 3"]
EOF
