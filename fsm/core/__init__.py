"""The engine's pure core: decides and returns intents; no clock, no I/O, no network, no randomness."""
