"""Live = backtest: a daemon and a backtest over the same candles, row by row."""
