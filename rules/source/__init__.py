"""Text to positions and problems: strict YAML, its schema, and where each expression stands."""
