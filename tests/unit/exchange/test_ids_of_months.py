"""Ids of trades that are long over are not kept in memory."""

from __future__ import annotations

from exchange.client_ids import Leg, client_id, parse


def test_ids_that_were_parsed_are_forgotten_after_a_while() -> None:
    for number in range(5_000):
        parts = parse(client_id("5eed0001", "BTCUSDT", number, Leg.STOP, 0, 1))
        assert parts is not None
    assert parse.cache_info().currsize <= 600
