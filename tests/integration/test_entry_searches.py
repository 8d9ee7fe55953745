"""R16, R20: each entry of unknown outcome is looked for until its own end, whatever else is looked for meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from exchange.sim.port_faults import Call, Fault, Lost
from fsm.core.model.records import State
from fsm.core.order_requests import place_entry
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers

Make = Callable[..., InProcessBot]
BTC = 60_000.0


def test_r16_a_second_search_does_not_make_the_first_one_forgotten(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=[jump(BTC), *quiet(BTC * 1.01, 4)])

    def lost_entry(call: Call) -> Fault | None:
        return Fault(lost=Lost.REQUEST) if call.method == "place_order" else None

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = lost_entry
        await r.until(r.start_ms + TO_SIGNAL * 3_600_000 + 5_000)
        worker = r.running.workers["BTCUSDT"]
        trade: Any = worker.record.trade
        assert worker.record.state is State.ENTERING
        intent = place_entry(trade)
        other = replace(intent, request=replace(intent.request, client_id=f"{intent.request.client_id[:-1]}9"))
        worker.search("", other)
        await r.seconds(15.0)
        assert "abandon ENTRY_SHOWN_ABSENT" in triggers(r)
        assert worker.record.state is State.IDLE

    r.run(script)
