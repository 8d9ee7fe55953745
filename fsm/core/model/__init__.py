"""The nouns of a decision: records, events, intents, policy, and the machine's table."""
