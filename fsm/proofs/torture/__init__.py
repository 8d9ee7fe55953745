"""Torture: the real live shell in simulated time, with everything that can go wrong going wrong by seed."""
