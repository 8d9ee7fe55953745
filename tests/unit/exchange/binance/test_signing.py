"""Signing: the published vector, what is encoded, and that secrets stay secret."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.binance.signing import query, signed
from exchange.secrets import Credentials, RedactingFilter, Secret, redact

SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"


def test_the_published_vector_is_reproduced() -> None:
    params = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": "1",
        "price": "9000",
        "timeInForce": "GTC",
        "recvWindow": "5000",
        "timestamp": "1591702613943",
    }
    expected = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    assert signed(query(params), Secret(SECRET)) == f"{query(params)}&signature={expected}"


def test_everything_but_the_unreserved_characters_is_percent_encoded_before_signing() -> None:
    text = query({"symbol": "币安USDT", "list": '["a b",1]', "id": "A-z_0.~"})
    assert text == "symbol=%E5%B8%81%E5%AE%89USDT&list=%5B%22a%20b%22%2C1%5D&id=A-z_0.~"


@given(st.text(min_size=1, alphabet=st.characters(min_codepoint=33, max_codepoint=126)))
def test_a_secret_shows_itself_to_nobody_but_reveal(text: str) -> None:
    secret = Secret("§" + text)
    credentials = Credentials(api_key=secret, api_secret=secret)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>30}", repr(credentials), str([secret])):
        assert "§" not in shown
    assert secret.reveal() == "§" + text


def test_a_secret_is_neither_pickled_nor_deep_copied() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret("x"))
    with pytest.raises(TypeError):
        copy.deepcopy(Secret("x"))
    assert not hasattr(Secret("x"), "__dict__")


def test_signatures_and_listen_keys_are_redacted_in_addresses_and_json() -> None:
    assert redact("GET /o?a=1&signature=abc123 HTTP") == "GET /o?a=1&signature=*** HTTP"
    assert redact("wss://h/private/ws?listenKey=K9&events=A") == "wss://h/private/ws?listenKey=***&events=A"
    assert redact('{"e":"listenKeyExpired","listenKey":"K9"}') == '{"e":"listenKeyExpired","listenKey":"***"}'


def test_credentials_redact_whatever_contains_the_key_or_the_secret() -> None:
    credentials = Credentials(api_key=Secret("KEY1"), api_secret=Secret("SECRET2"))
    assert credentials.redact("a KEY1 b SECRET2 c signature=ff") == "a *** b *** c signature=***"


def test_the_log_filter_redacts_the_arguments_of_a_record() -> None:
    record = logging.LogRecord("httpx", logging.INFO, "f", 1, "HTTP %s", ("x?signature=abc",), None)
    assert RedactingFilter().filter(record)
    assert record.getMessage() == "HTTP x?signature=***"
