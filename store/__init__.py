"""What survives a restart: the hash-chained journal, its projections, the outbox, the inbox and their readers."""
