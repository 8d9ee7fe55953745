"""What all tests share: steady hypothesis runs, and no way out to the network."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from decimal import localcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.effort import examples

# What Python has compiled is kept, whatever the machine says: hundreds of processes that tests start would each compile
# the whole product again, which doubles what a start costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What tests write lies in memory, where there is enough of it: a bot waits for the disk at each of its commits, which
# adds up to minutes, and to seconds at a time where the disk is busy with other things.
MEMORY, ROOM_BYTES_MIN = Path("/dev/shm"), 4 * 2**30


def has_room(folder: Path) -> bool:
    """Also for programs: some systems run none from there."""
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= ROOM_BYTES_MIN and not found.f_flag & os.ST_NOEXEC


if "TMPDIR" not in os.environ and has_room(MEMORY):
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# Tests are deterministic: the same examples on every machine, and no deadline on a busy one. A tool that makes mutants
# runs them more than once in one process, on a new instance of their class each time.
settings.register_profile(
    "steady",
    max_examples=examples(100),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
settings.load_profile("steady")


class NetworkUsed(BaseException):
    """A test reached for something beyond this machine. Not an Exception, so that no code under test swallows it."""


_outside_allowed = False


def _guard_network(event: str, arguments: tuple[Any, ...]) -> None:
    if _outside_allowed or event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        return
    host = arguments[0]
    if event != "socket.getaddrinfo":
        connection, address = arguments
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return
        host = address[0]
    if not _is_here(host):
        raise NetworkUsed(f"a test tried to reach {host}: tests need nothing but this machine")


def _is_here(host: str | bytes | None) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(name).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


sys.addaudithook(_guard_network)


@pytest.fixture(autouse=True)
def _outside_only_for_testnet(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests marked ``testnet`` are the only ones that may leave this machine."""
    global _outside_allowed
    _outside_allowed = request.node.get_closest_marker("testnet") is not None
    yield
    _outside_allowed = False


PRIORITY = os.getpriority(os.PRIO_PROCESS, 0)


@pytest.fixture(autouse=True)
def _own_priority() -> Iterator[None]:
    """A command that makes way for others would make all later tests of this process slow, and cannot take it back."""
    yield
    assert os.getpriority(os.PRIO_PROCESS, 0) == PRIORITY, "run it in a process of its own"


@pytest.fixture(autouse=True)
def _own_arithmetic() -> Iterator[None]:
    """ccxt leaves the rounding of the whole thread changed (4.5.90): whoever is tested after it must not meet that."""
    with localcontext():
        yield


@pytest.fixture(autouse=True)
def _loud_client() -> Iterator[None]:
    """Proofs quieten the client's log for their process; whoever is tested after them in it hears it again."""
    log = logging.getLogger("exchange")
    level = log.level
    yield
    log.setLevel(level)
