"""The page of a study: out of sample first, what luck would give, and pictures of all variants."""
