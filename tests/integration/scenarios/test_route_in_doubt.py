"""R60: a way to place stops that never confirms is not tried again with one real entry after the other."""

from __future__ import annotations

from click.testing import CliRunner

from exchange.client_ids import Leg
from exchange.sim.port_faults import Call, Fault
from fsm.cli.app import app
from fsm.core.model.records import AccountRecord, HaltCause
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from tests.integration.scenarios.acting import BTC, TOP, Make, is_leg, latest_reason, post, stop
from tests.integration.scenarios.naked import Menu

JUMPS = [jump(BTC), *quiet(TOP, 1), jump(TOP), *quiet(TOP * 1.01, 1), jump(TOP * 1.01), *quiet(TOP * 1.02, 4)]
"""Every other hour asks for a long."""


def probe(call: Call) -> bool:
    return call.method == "place_algo" and is_leg(call, Leg.PROBE)


def opened(r: InProcessBot) -> int:
    return triggers(r).count("fill FIRST_FILL")


async def opened_in_vain(r: InProcessBot, menu: Menu, *, hours: float) -> AccountRecord:
    """The first trade gets no stop and is closed; the account after so many hours more."""
    await r.start()
    r.faults = menu.add(stop, Fault(refuse=-1008))
    await r.hours(TO_SIGNAL + 0.5)
    await r.seconds(60)
    await r.hours(hours)
    return r.running.live.engine.account


def test_while_it_cannot_be_proved_nothing_is_entered(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=JUMPS)
    r.run(lambda r: opened_in_vain(r, Menu().add(probe, Fault(refuse=-1008)), hours=6))
    assert triggers(r).count("flatten PROTECTION_DEADLINE") == 1
    assert opened(r) == 1
    assert latest_reason(r) == ("BLOCKED", "PROTECTION_UNPROVED")
    assert r.venue.positions() == []


def test_once_it_is_proved_the_second_failure_halts_the_account(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=JUMPS)
    account = r.run(lambda r: opened_in_vain(r, Menu(), hours=8))
    assert triggers(r).count("flatten PROTECTION_DEADLINE") == 2
    assert account.halt is not None
    assert account.halt.cause == HaltCause.PROTECTION


def test_a_stop_that_is_confirmed_ends_the_doubt(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=JUMPS)

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = Menu().add(stop, Fault(refuse=-1008), for_s=20.0)
        await r.hours(TO_SIGNAL + 0.5)
        await r.seconds(60)
        assert r.running.live.engine.account.route is not None
        await r.hours(2.5)
        assert r.running.live.engine.account.route is None

    r.run(script)
    assert opened(r) == 2
    assert "protect STOP_CONFIRMED" in triggers(r)


def test_it_is_remembered_across_a_restart_and_a_resume_asks_for_a_new_proof(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=JUMPS)

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = Menu().add(stop, Fault(refuse=-1008))
        await r.hours(TO_SIGNAL + 0.5)
        await r.hours(8)
        assert r.running.live.engine.account.halt is not None
        await r.stop()
        await r.start()
        account = r.running.live.engine.account
        assert account.halt is not None
        assert account.halt.cause == HaltCause.PROTECTION
        r.faults = Menu().add(probe, Fault(refuse=-1008))
        post(r, "resume")
        await r.seconds(5)
        account = r.running.live.engine.account
        assert account.halt is None
        assert account.route is not None
        assert account.route.proof == ""

    r.run(script)


def test_status_and_limits_say_why(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=JUMPS)
    r.run(lambda r: opened_in_vain(r, Menu().add(probe, Fault(refuse=-1008)), hours=1))
    for asked in ("status", "limits"):
        result = CliRunner().invoke(app, [asked, "--db", str(r.db)])
        assert "BTCUSDT got no stop" in result.output, result.output
        assert "until a test while flat" in " ".join(result.output.split())
