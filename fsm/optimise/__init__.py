"""The search for better numbers that does not fool its user: out of sample first, and what luck alone would give."""
