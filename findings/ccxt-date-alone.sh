#!/usr/bin/env bash
# Guess: parse8601 takes the plain date, the commonest form of ISO 8601, or raises for what it does not take.
# What happens: a date alone, and a time without seconds, give None. Passed on as "since" that means "the newest", so a
# download that should begin in January begins today, and nothing says so. The basic form without any separators, which
# hardly anybody writes, is taken.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ccxt==4.5.90
"$folder/venv/bin/python" - <<'EOF'
import ccxt

print("ccxt", ccxt.__version__)
exchange = ccxt.binanceusdm()
forms = ["2025-01-01T00:00:00", "20250101T000000Z", "2025-01-01", "2025-01-01T00:00"]
seen = {form: exchange.parse8601(form) for form in forms}
for form, found in seen.items():
    print(f"{form:<22}{found}")
assert seen["2025-01-01T00:00:00"] == seen["20250101T000000Z"] == 1735689600000
assert seen["2025-01-01"] is None
assert seen["2025-01-01T00:00"] is None
EOF
