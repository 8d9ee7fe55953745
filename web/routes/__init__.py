"""The reads of the API by what they are about; ``READS`` is all of them."""

from __future__ import annotations

from web.endpoint import Endpoint
from web.routes import (
    account,
    funding,
    holdings,
    journal,
    kept,
    machine,
    panes,
    quality,
    reasons,
    rules,
    symbols,
    trade,
)

READS: tuple[Endpoint, ...] = (
    *account.READS,
    *holdings.READS,
    *trade.READS,
    *funding.READS,
    *quality.READS,
    *journal.READS,
    *machine.READS,
    *reasons.READS,
    *panes.READS,
    *rules.READS,
    *kept.READS,
    *symbols.READS,
)
