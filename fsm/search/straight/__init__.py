"""Trades of one symbol that go straight from entry to exit, lived over whole numbers, compiled where numba is there."""
