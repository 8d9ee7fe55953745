"""What each state makes of what it is told: one file for each state, and what they share."""
