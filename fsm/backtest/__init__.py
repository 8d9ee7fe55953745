"""The same engine over recorded candles, hour by hour."""
