"""The same engine under other clocks: backtest, replay and the proofs."""
