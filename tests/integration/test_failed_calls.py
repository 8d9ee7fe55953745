"""Calls that fail: each kind has a row among the errors with its count; nothing is written where one fails (R69)."""

from __future__ import annotations

import msgspec

from exchange.errors import RateLimited, Unreachable
from exchange.sim.port_faults import Call, Fault
from fsm.proofs.testkit.in_process_bot import InProcessBot
from store import queries
from store.database import open_store
from store.rows import ErrorRow
from tests.integration.scenarios.acting import CALM, Make, to_trade


def failing(call: Call) -> Fault | None:
    """Looks do not answer, and the account is refused for its weight."""
    if call.method == "look":
        return Fault(error=Unreachable("GET /fapi/v1/openOrders: no answer"))
    if call.method == "account":
        return Fault(error=RateLimited("GET /fapi/v3/account: 429", retry_after_ms=1_000))
    return None


def counts(rows: list[ErrorRow]) -> dict[str, int]:
    """The newest count of each kind."""
    return {row.error: msgspec.json.decode(row.details_json)["count"] for row in reversed(rows)}


def test_each_kind_of_failed_call_has_a_row_with_its_count(rehearse: Make) -> None:
    """86 failures of three kinds left one row."""
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> int:
        await to_trade(r)
        before = r.running.troubles.total
        r.faults = failing
        await r.clock.sleep(200)
        r.faults = lambda call: None
        await r.clock.sleep(70)
        return r.running.troubles.total - before

    total = r.run(script)
    with open_store(r.db, mode="read") as store:
        rows = [row for row in queries.errors(store, limit=1_000) if row.component == "exchange"]
        told = [row.text for row in queries.alerts(store, limit=100) if row.kind == "api_errors"]
    found = counts(rows)
    assert {error.partition(":")[0] for error in found} == {"Unreachable", "RateLimited"}
    assert sum(found.values()) == total > 20
    assert len(rows) <= 2 * 5, "a row a minute for each kind, however many calls fail"
    assert "Stops and targets rest at the exchange" in told[0]
