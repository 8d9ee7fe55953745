"""Numbers: candles in, indicator values out; knows nothing of rules, exchanges or storage."""
