"""Model check: the real engine on an abstract exchange, through every state that it can reach."""
