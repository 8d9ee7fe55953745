"""Keeps with a decision what it was judged by, so that it can be decided again."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from fsm.core.model.decision import Decision
from fsm.core.model.decision_context import Portfolio
from fsm.core.model.events import Commanded, SymbolEvent, reads_portfolio


def with_portfolio(made: Decision, portfolio: Portfolio) -> Decision:
    """Keep the portfolio that the decision read among its facts."""
    return replace(made, facts={**made.facts, "portfolio": msgspec.to_builtins(portfolio)})


def with_what_it_knew(made: Decision, event: SymbolEvent, portfolio: Portfolio) -> Decision:
    """The move with what it was judged by, so that it can be decided again."""
    if reads_portfolio(event):
        return with_portfolio(made, portfolio)
    if isinstance(event, Commanded):
        return replace(made, facts={**made.facts, "blocked": portfolio.blocked})
    return made
