"""What all parts of a running bot share: clock, settings in force, symbols, blocks of entries."""
