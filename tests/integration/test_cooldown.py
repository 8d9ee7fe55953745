"""What must outlive a restart: the rest after a streak of losses, and the count of signals that led to nothing."""

from __future__ import annotations

from collections.abc import Callable

from exchange.sim.port_faults import Fault
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import RULES, TO_SIGNAL, jump, quiet, triggers
from rules.load import parse_rules
from store import queries
from store.database import open_store

Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01


def outcome(r: InProcessBot) -> tuple[str, str]:
    with open_store(r.db, mode="read") as store:
        (last,) = queries.latest_decisions(store)
    return last.outcome, last.reason


def test_after_a_streak_of_losses_a_symbol_rests_also_across_a_restart(rehearse: Make) -> None:
    lost = (TOP, TOP, BTC * 0.998, BTC)
    r = rehearse(
        BTCUSDT=[jump(BTC), lost, jump(BTC), *quiet(BTC, 1), jump(BTC), *quiet(BTC, 3), jump(BTC), *quiet(TOP, 2)]
    )
    r.rules = parse_rules(f"{RULES}  cooldown: {{losses: 1, candles: 6}}\n", "rules with a rest")

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(TO_SIGNAL + 2.5)
        assert triggers(r)[-1].startswith("flat")
        assert outcome(r) == ("BLOCKED", "COOLDOWN")
        await r.restart()
        await r.hours(2)
        assert outcome(r) == ("BLOCKED", "COOLDOWN")
        assert triggers(r).count("signal jump LONG") == 1
        await r.hours(4)

    r.run(script)
    assert triggers(r).count("signal jump LONG") == 2, "the rest is over after six candles"


def test_signals_in_vain_are_counted_across_restarts(rehearse: Make) -> None:
    """R44: a bot that is restarted every few hours would never reach the number otherwise."""
    prices = [BTC * 1.01**n for n in range(24)]
    r = rehearse(BTCUSDT=[*map(jump, prices), *quiet(prices[-1], 2)])

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = lambda call: Fault(refuse=-4067) if call.method == "ensure_margin_type" else None
        await r.hours(TO_SIGNAL + 11)
        await r.restart()
        await r.hours(11)

    r.run(script)
    with open_store(r.db, mode="read") as store:
        told = [row.text for row in queries.alerts(store, limit=1_000) if row.kind == "no_entries"]
    assert len(told) == 1
    assert told[0].startswith("20 signals in a row led to no position")


def test_a_fill_ends_the_count_also_for_the_next_run(rehearse: Make) -> None:
    prices = [BTC * 1.01**n for n in range(6)]
    r = rehearse(BTCUSDT=[*map(jump, prices), *quiet(prices[-1], 2)], risk={"max_open_positions": 1})

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = lambda call: Fault(refuse=-4067) if call.method == "ensure_margin_type" else None
        await r.hours(TO_SIGNAL + 1)
        assert r.running.fruitless_signals == 1
        r.faults = lambda call: None
        await r.hours(2)
        assert r.running.fruitless_signals == 0
        await r.seconds(2)  # it is written down beside the marks, so that nothing is between a step and its stop
        await r.restart()
        assert r.running.fruitless_signals == 0

    r.run(script)
