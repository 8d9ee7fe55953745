#!/usr/bin/env bash
# Guess: talib.stream.CDLENGULFING(open, high, low, close) is 0 where the newest candle is no engulfing one, as it has been
# for ten years, so `if talib.stream.CDLENGULFING(...)` asks whether it is.
# What happens: from 0.8 on the same call opens a handle that is carried forward candle by candle; it is an object, an
# object is true, and nothing warns. The very same candles, without a pattern, are 0 in 0.6 and true in 0.8: whoever enters
# on the pattern enters on every candle. A comparison with a number does raise. The figure is in .value now.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/pattern.py" <<'EOF'
import numpy
import talib

close = numpy.linspace(100, 110, 60)
candles = (close - 0.1, close + 0.2, close - 0.2, close)  # every candle rises: nothing is engulfed
found = talib.stream.CDLENGULFING(*candles)
print("TA-Lib", talib.__version__, "of all candles:", int(numpy.abs(talib.CDLENGULFING(*candles)).sum()), type(found).__name__)
print("enter" if found else "stay out")
EOF
for release in 0.6.8 0.8.2; do
    python3 -m venv "$folder/$release"
    "$folder/$release/bin/pip" install --quiet --disable-pip-version-check "TA-Lib==$release" numpy==2.4.6
    "$folder/$release/bin/python" "$folder/pattern.py" | tee "$folder/said-$release"
done
grep -q 'of all candles: 0' "$folder/said-0.6.8" && grep -qx 'stay out' "$folder/said-0.6.8"
grep -q 'of all candles: 0' "$folder/said-0.8.2" && grep -qx 'enter' "$folder/said-0.8.2"
