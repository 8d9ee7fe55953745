"""The expressions of a rules file: syntax, units, truth, scalar and batch evaluation, intervals."""
