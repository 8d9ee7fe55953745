"""How long a position can be without a stop: every fault of the menu, over thousands of positions."""
