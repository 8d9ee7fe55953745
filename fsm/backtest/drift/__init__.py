"""Whether live trading still does what a backtest promised: promise, sequential test, and its measured rates."""
