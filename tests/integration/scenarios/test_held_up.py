"""R56: a pause longer than the protection deadline is told once, with what stands without a stop, and what to do."""

from __future__ import annotations

import pytest

from exchange.sim.in_process import SimPort
from exchange.sim.port_faults import Fault
from exchange.types import Pause
from fsm.proofs.testkit.in_process_bot import InProcessBot
from store import queries
from store.database import open_store
from tests.integration.scenarios.acting import CALM, Make
from tests.integration.scenarios.naked import Menu
from tests.integration.scenarios.test_naked_time import LATENCY_S, played, stop

BAN = Pause(cause="HTTP 418 banned", left_s=115.0, banned=True)


def _told(r: InProcessBot) -> list[str]:
    with open_store(r.db, mode="read") as store:
        return [row.text for row in queries.alerts(store) if "Close by hand" in row.text]


@pytest.mark.parametrize("pause", [BAN, None], ids=["banned", "no pause"])
def test_r56_a_ban_at_the_deadline_is_told_once_with_position_size_and_end(
    rehearse: Make, monkeypatch: pytest.MonkeyPatch, pause: Pause | None
) -> None:
    monkeypatch.setattr(SimPort, "pause", lambda port: pause)
    r = rehearse(BTCUSDT=CALM, latency_s=LATENCY_S)
    played(r, Menu().add(stop, Fault(refuse=-1003)))
    told = _told(r)
    assert len(told) == (pause is not None)
    for text in told:
        assert "BTCUSDT LONG " in text
        assert "UTC, in 115 s): HTTP 418 banned" in text
        assert "Close by hand" in text
