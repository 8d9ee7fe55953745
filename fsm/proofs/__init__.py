"""The proofs: model check, crash sweep, torture, time without a stop, parity. Nothing imports them but tests."""
