"""R16, R20: each entry of unknown outcome is looked for until its own end, whatever else is looked for meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from exchange.sim.port import Call, Fault, Lost
from fsm.core.legs import place_entry
from fsm.core.records import State
from fsm.lab.rehearsal import Rehearsal
from fsm.lab.small_market import TO_SIGNAL, jump, quiet, triggers

Make = Callable[..., Rehearsal]
BTC = 60_000.0


def test_r16_a_second_search_does_not_make_the_first_one_forgotten(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=[jump(BTC), *quiet(BTC * 1.01, 4)])

    def lost_entry(call: Call) -> Fault | None:
        return Fault(lost=Lost.REQUEST) if call.method == "place_order" else None

    async def script(r: Rehearsal) -> None:
        await r.start()
        r.faults = lost_entry
        await r.until(r.start_ms + TO_SIGNAL * 3_600_000 + 5_000)
        lane = r.running.lanes["BTCUSDT"]
        trade: Any = lane.record.trade
        assert lane.record.state is State.ENTERING
        intent = place_entry(trade)
        other = replace(intent, request=replace(intent.request, client_id=f"{intent.request.client_id[:-1]}9"))
        lane.search("", other)
        await r.seconds(15.0)
        assert "abandon ENTRY_SHOWN_ABSENT" in triggers(r)
        assert lane.record.state is State.IDLE

    r.run(script)
