"""Lets an answer be no answer at all: hands the application the socket under a request, so that it can be dropped."""

from __future__ import annotations

import asyncio
import logging

from uvicorn.protocols.http.h11_impl import H11Protocol

TRANSPORT = "transport"
"""Where a request's scope keeps its socket (under ``state``)."""


class Wire(H11Protocol):
    """HTTP as uvicorn speaks it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, TRANSPORT: transport}
        super().connection_made(transport)


def _is_no_drop(record: logging.LogRecord) -> bool:
    """uvicorn takes an answer that is none for a mistake of the application's."""
    return "without starting response" not in record.getMessage()


logging.getLogger("uvicorn.error").addFilter(_is_no_drop)


def drop(scope: dict[str, object]) -> bool:
    """Cut the connection under a request without a word; False where there is no socket to cut."""
    state = scope.get("state")
    transport = state.get(TRANSPORT) if isinstance(state, dict) else None
    if not isinstance(transport, asyncio.Transport):
        return False
    transport.abort()
    return True
