"""Carries decisions out: one worker for each symbol, closes, protection, account, recovery."""
