"""Speaks with ntfy, a mail server or any of a hundred others through apprise (the extra ``alerts``)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from functools import cache

from fsm.live.operator.courier import Courier

TYPES = {"critical": "failure", "warning": "warning", "info": "info"}
"""Our severities in apprise's words, which colour a message or choose its priority."""

INSTALL = "pip install 'fsm-futures-bot[alerts]'"

Notify = Callable[[str, str, str], None]
"""Called with severity, title and text; raises OSError where the message was not taken."""


WITHIN_S = 60.0
"""A mail server may take its time."""


class Unusable(OSError):
    """An address that leads nowhere; the message says what to do, and has no secret in it."""


def name_of(url: str) -> str:
    """What an address is called in logs and in the database: its kind and a digest, as the rest of it is secret."""
    kind = url.partition(":")[0][:12]
    return f"{kind}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def notifier(url: str) -> Notify:
    """Loads the library, which takes a second. Raises Unusable."""
    try:
        import apprise
    except ImportError:
        raise Unusable(f"the library apprise is not installed: {INSTALL}") from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it logs addresses, which have secrets in them
    sender = apprise.Apprise()
    if not sender.add(url):
        raise Unusable(f"{name_of(url)} is no address that apprise knows: github.com/caronc/apprise lists them")

    def notify(severity: str, title: str, text: str) -> None:
        if not sender.notify(body=text, title=title, notify_type=TYPES[severity], body_format="text"):
            raise OSError(f"{name_of(url)} did not take the message")

    return notify


def delivery(url: str, courier: Courier) -> Callable[[str, str, str], Awaitable[None]]:
    """Messages to this address, in the courier's thread, where the library is loaded with the first of them."""

    @cache
    def loaded() -> Notify:
        return notifier(url)

    async def deliver(severity: str, title: str, text: str) -> None:
        await courier.carry(lambda: loaded()(severity, title, text), WITHIN_S)

    return deliver
