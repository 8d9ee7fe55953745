"""The commands that prove: modelcheck, crashsweep, torture, naked, parity."""
