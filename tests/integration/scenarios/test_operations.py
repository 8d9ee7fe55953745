"""Modes that survive, databases that grow old, faults of our own, and why nothing was traded (R50 to R55)."""

from __future__ import annotations

from exchange.sim.port import Fault
from fsm.lab.rehearsal import Rehearsal
from fsm.lab.small_market import TO_SIGNAL, quiet, triggers
from store.verify import verify
from tests.integration.scenarios.acting import (
    CALM,
    STOPPED,
    Make,
    answer,
    broken,
    post,
    record,
    resting_stops,
    to_trade,
)


class TestModesSurvive:
    def test_pause_survives_a_restart_and_resume_ends_it(self, rehearse: Make) -> None:
        """R50."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: Rehearsal) -> None:
            await r.start()
            number = post(r, "pause")
            await r.seconds(1)
            assert answer(r, number) == ("done", None)
            await r.restart()
            await r.hours(TO_SIGNAL + 0.5)
            assert triggers(r) == ["pause OPERATOR"]
            number = post(r, "resume")
            await r.seconds(1)
            assert answer(r, number) == ("done", None)
            assert not r.running.shared.engine.account.paused

        r.run(script)


class TestFaultsOfOurOwn:
    def test_an_exception_in_a_handler_quarantines_its_symbol_and_the_others_go_on(self, rehearse: Make) -> None:
        """R53."""
        eth = [(3000.0, 3031.5, 2997.0, 3030.0), *quiet(3030.0, 6)]
        r = rehearse(BTCUSDT=CALM, ETHUSDT=eth)

        async def script(r: Rehearsal) -> None:
            await to_trade(r)
            r.faults = lambda call: Fault(alter=broken) if (call.method, call.symbol) == ("look", "BTCUSDT") else None
            await r.seconds(30)
            assert record(r).quarantine.cause.startswith("EXCEPTION")
            assert resting_stops(r)
            assert record(r, "ETHUSDT").quarantine is None
            r.faults = lambda call: None
            await r.seconds(30)
            assert r.is_alive

        r.run(script)
        assert verify(r.db).fine
