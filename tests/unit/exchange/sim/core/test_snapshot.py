"""Saved accounts: lossless, and refused when they are not ours."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.sim.core.venue import Venue
from exchange.types import Side


def test_open_and_closed_orders_survive(desk) -> None:
    desk.market(Side.BUY, "0.010")
    desk.limit(Side.SELL, "0.010", "62000", reduce_only=True, client_id="open")
    desk.stop(Side.SELL, "59000", client_id="stop")
    venue = desk.venue
    again = Venue.load(venue.save(), filters=venue.filters(), brackets=venue.state.brackets)
    assert again.order("BTCUSDT", client_id="open") == venue.order("BTCUSDT", client_id="open")
    assert again.algo(client_id="stop") == venue.algo(client_id="stop")
    assert again.position("BTCUSDT") == venue.position("BTCUSDT")
    assert again.account() == venue.account()
    assert again.income() == venue.income()
    assert again.symbol_config("BTCUSDT") == venue.symbol_config("BTCUSDT")


def test_a_transfer_that_the_ledger_does_not_show_yet_is_shown_in_its_time(desk) -> None:
    """R77: the balance has it at once, also across a saved account."""
    venue = desk.venue
    wallet = venue.account().wallet_balance
    venue.withdraw(Decimal("100"), shown_after_ms=60_000)
    assert (venue.account().wallet_balance, venue.income()) == (wallet - 100, [])
    again = Venue.load(venue.save(), filters=venue.filters(), brackets=venue.state.brackets)
    for wait_ms, shown in ((59_999, []), (1, [-100])):
        for _ in again.advance(again.now_ms + wait_ms, {}):
            pass
        assert [row.income for row in again.income()] == shown


@pytest.mark.parametrize(
    ("change", "what"), [(b"{", "cannot be read"), (b'{"version":1}', "cannot be read"), (None, "version 99")]
)
def test_what_is_no_account_is_refused_with_a_way_out(desk, change: bytes | None, what: str) -> None:
    saved = change or desk.venue.save().replace(b'"version":1', b'"version":99')
    with pytest.raises(ValueError, match=rf"{what}.*FRESH=1"):
        Venue.load(saved, filters={}, brackets={})
