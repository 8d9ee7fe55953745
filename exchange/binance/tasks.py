"""Runs several calls at once: the first failure cancels the others and is raised as itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose failure is the first plain exception, not a group: callers catch ExchangeErrors."""
    failure: BaseException
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failed:
        failure = failed.exceptions[0]
    else:
        return
    raise failure
