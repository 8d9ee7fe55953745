"""What proofs and tests stand on: the bot in one process, the virtual loop, scripted markets, broken engines."""
