"""The command line: one module for each noun that a user types, and what they share."""
