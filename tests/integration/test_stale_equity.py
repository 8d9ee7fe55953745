"""Equity that cannot be read: entries are blocked at once, and FLATTEN acts after a bounded deferral only (R38)."""

from __future__ import annotations

from collections.abc import Callable

from exchange.sim.port_faults import Call, Fault, Lost
from fsm.core.model.policy import LimitAction
from fsm.core.model.records import State
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store
from store.inbox import Inbox

Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01
OPEN = [jump(BTC), *quiet(TOP, 20)]
DEFER_S = 900


def no_account(call: Call) -> Fault | None:
    return Fault(lost=Lost.REQUEST) if call.method == "account" else None


async def to_open_trade(r: InProcessBot) -> None:
    await r.start()
    await r.hours(TO_SIGNAL + 0.5)


def state(r: InProcessBot) -> State:
    return r.running.live.engine.record("BTCUSDT").state


def told(r: InProcessBot) -> list[str]:
    with open_store(r.db, mode="read") as store:
        return [row.text for row in queries.alerts(store, limit=100) if row.kind == "kill_switch"]


def test_flatten_waits_for_the_deferral_and_then_closes_and_halts(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=OPEN, limits={"action": LimitAction.FLATTEN})

    async def script(r: InProcessBot) -> None:
        await to_open_trade(r)
        r.faults = no_account
        await r.seconds(DEFER_S - 30)
        assert state(r) is State.PROTECTED, "stale is not yet lost"
        await r.seconds(60)
        assert state(r) is State.HALT
        assert r.venue.positions() == []
        assert r.running.live.engine.account.halt.cause == "EQUITY_STALE"  # type: ignore[union-attr]

    r.run(script)
    assert "flatten EQUITY_STALE" in triggers(r)
    assert any("could not be read" in text for text in told(r))


def test_equity_that_comes_back_in_time_changes_nothing(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=OPEN, limits={"action": LimitAction.FLATTEN})

    async def script(r: InProcessBot) -> None:
        await to_open_trade(r)
        for _ in range(3):
            r.faults = no_account
            await r.seconds(DEFER_S - 60)
            r.faults = lambda call: None
            await r.seconds(60)
        assert state(r) is State.PROTECTED
        assert r.running.live.engine.account.halt is None

    r.run(script)


def test_block_entries_leaves_the_position_to_its_stop(rehearse: Make) -> None:
    """R34."""
    r = rehearse(BTCUSDT=OPEN)

    async def script(r: InProcessBot) -> None:
        await to_open_trade(r)
        r.faults = no_account
        await r.seconds(3 * DEFER_S)
        assert state(r) is State.PROTECTED
        assert r.running.live.engine.account.halt is None

    r.run(script)


def test_without_a_position_there_is_nothing_to_flatten(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=OPEN, limits={"action": LimitAction.FLATTEN})

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = no_account
        await r.seconds(3 * DEFER_S)
        assert r.running.live.engine.account.halt is None

    r.run(script)


def test_resume_is_refused_while_equity_is_still_stale(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=OPEN, limits={"action": LimitAction.FLATTEN})

    async def answered() -> tuple[str, str | None]:
        with open_store(r.db, mode="post") as store:
            number = Inbox(store).post("resume", None, "test", r.venue.now_ms)
        await r.seconds(1)
        with open_store(r.db, mode="read") as store:
            found = Inbox(store).get(number)
        assert found is not None
        return found.state, found.guard

    async def script(r: InProcessBot) -> None:
        await to_open_trade(r)
        r.faults = no_account
        await r.seconds(DEFER_S + 30)
        assert await answered() == ("refused", "EQUITY_STALE")
        r.faults = lambda call: None
        await r.seconds(60)
        assert await answered() == ("done", None)
        assert r.running.live.engine.account.halt is None

    r.run(script)
