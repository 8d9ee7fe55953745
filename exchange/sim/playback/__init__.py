"""Recorded candles as they are played through the core: feeds, price paths, funding."""
