"""Two runs side by side: which trades differ, and what made them, found in both journals and confirmed by running."""
