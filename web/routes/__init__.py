"""The reads of the API by what they are about; ``READS`` is all of them."""

from __future__ import annotations

from web.endpoint import Endpoint
from web.routes import account, holdings, journal, machine, reasons, trade

READS: tuple[Endpoint, ...] = (
    *account.READS,
    *holdings.READS,
    *trade.READS,
    *journal.READS,
    *machine.READS,
    *reasons.READS,
)
