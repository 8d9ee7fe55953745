"""Numbers of refusals and our reasons: the client and the simulated exchange have a table each, and mean the same."""

from __future__ import annotations

from exchange.binance.refusals import reason_of, refused
from exchange.refusals import RefusalReason
from exchange.sim.core import reasons


def test_the_client_reads_every_number_of_the_simulated_exchange_as_it_is_meant() -> None:
    assert {number: reason_of(number) for number in reasons.REASONS} == reasons.REASONS


def test_what_nobody_knows_is_another_reason_and_never_none() -> None:
    assert refused(-9999, "new").reason is RefusalReason.OTHER
    assert reasons.refused(-9999, "new").reason is RefusalReason.OTHER
    assert reason_of("E_WORDS") is RefusalReason.OTHER
