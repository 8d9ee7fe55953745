"""The simulated exchange on the real one's live prices and rules: nothing here has a key."""
