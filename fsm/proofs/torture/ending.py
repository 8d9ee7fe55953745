"""The end of a run: nothing goes wrong any more, everything comes to rest, and the books are examined."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from exchange.client_ids import Leg, parse
from exchange.sim.core.ledger import IncomeType
from fsm.core.model.records import State
from fsm.journal.replay import ReplayError, replay
from fsm.live.process.supervisor import AGAIN_S
from fsm.proofs.torture.checkers import record_of, same_records
from fsm.proofs.torture.plan import HOUR_MS, MINUTE_MS
from fsm.proofs.torture.world import TortureRun
from store import queries
from store.database import open_store
from store.verify import verify

CALM_MS = 2 * MINUTE_MS
REST_MS_MAX = 3 * HOUR_MS
LOOK_MS = MINUTE_MS
PAUSE_S_MAX = 6 * 3600
"""What the exchange has asked for before is waited out while the market stands still."""

CONFIRMED_MS_MAX = 3 * MINUTE_MS
QUIET_S = 5.0
FOUND_MAX = 400
MONEY_TOLERANCE = Decimal("1e-8")
RESULTS = frozenset(kind.value for kind in IncomeType) - {IncomeType.TRANSFER.value}
ANSWERED = ("place_order", "place_algo")


async def come_to_rest(world: TortureRun) -> None:
    """Faults end; then rest, an operator's flatten, rest again, and two starts that must change nothing."""
    _mend_everything(world)
    for _ in range(PAUSE_S_MAX):
        if not world.front.is_paused():
            break
        await world._wait(1.0)
    if not await _rest(world, "after the last fault"):
        return
    await _tasks_go_on(world)
    world.disturbances.command("flatten", "")
    if await _rest(world, "after the operator's flatten"):
        await _start_again_at_rest(world)
        await _start_again_at_rest(world)
        await _candles_go_on(world)


def _mend_everything(world: TortureRun) -> None:
    world.faults.end_all()
    world.disturbances.mend_disk()
    world.disturbances.disk_until_s = float("-inf")
    world.machine.mend()
    world.machine.lies.clear()
    world.moments.end_all()
    world.editor.end_all()
    world.environment.mend()
    world.disturbances.write_files()
    world.kill_switch.clear()
    world.log.append((world.venue.now_ms, "nothing goes wrong any more"))


async def _candles_go_on(world: TortureRun) -> None:
    """At the next close, and once whatever is missing there can have been confirmed: has every symbol its candles?
    One whose newest candle is still listed wrongly waits for it: what lies before that is taken with it."""
    now_ms = world.venue.now_ms
    close_ms = now_ms - now_ms % HOUR_MS + HOUR_MS
    await world.until(close_ms)
    world.vigil = True
    await world.until(close_ms + CONFIRMED_MS_MAX)
    world.vigil = False
    daemon = world.bot.daemon
    for symbol, market in {} if daemon is None or world.failed else daemon.markets.items():
        newest_ms, fed_ms = world.front.candles.newest_ms(symbol, world.venue.now_ms), market.candle_ms or 0
        if newest_ms < close_ms - HOUR_MS:
            continue
        found = f"{symbol}: the candle that opened at {newest_ms} is listed, the newest that was taken at {fed_ms}"
        world.checker.check("CANDLES_GO_ON", fed_ms >= newest_ms, found)


async def _tasks_go_on(world: TortureRun) -> None:
    """The longest pause of the supervisor is waited out while the market stands still."""
    task_faults = world.bot.task_faults
    for _ in range(int(AGAIN_S[-1]) + 1):
        if not task_faults.idle() or not world.bot.is_alive:
            break
        await world._wait(1.0)
    idle = task_faults.idle()
    world.checker.check("TASKS_GO_ON", not idle, f"nothing is heard any more of {', '.join(idle)}")


async def _rest(world: TortureRun, when: str) -> bool:
    """Give it some minutes second by second, and hours if it needs them. False when something did not hold."""
    began_ms = world.venue.now_ms
    await _second_by_second(world)
    world.disturbances.tidy_up()
    await _second_by_second(world)
    while not world.failed:
        unrest = _unrest(world)
        if not unrest and not world.is_busy():
            world.checker.check("COMES_TO_REST", True, when)
            return True
        waited_ms = world.venue.now_ms - began_ms
        world.checker.check("COMES_TO_REST", waited_ms < REST_MS_MAX, f"{when}: {unrest or 'the bot is still busy'}")
        await world.until(world.venue.now_ms + LOOK_MS)
    return False


async def _second_by_second(world: TortureRun) -> None:
    world.vigil = True
    await world.until(world.venue.now_ms + CALM_MS)
    world.vigil = False


def _unrest(world: TortureRun) -> str:
    """What is not at rest, in words."""
    daemon = world.bot.daemon
    if daemon is None or not daemon.started.is_set():
        return "the bot has not started"
    state = world.venue.state
    for symbol in world.plan.symbols:
        record, held = record_of(daemon.live, symbol), world.checker.quantity(symbol)
        names = [order.client_id for order in state.orders.open(symbol)]
        names += [algo.client_id for algo in state.algos.open(symbol)]
        ours = [name for name in names if parse(name) is not None]
        if record.state in (State.IDLE, State.HALT):
            if held or ours:
                return f"{symbol} is {record.state} with {held} open and the orders {ours}"
            if record.foreign is not None:
                return f"{symbol} remembers {record.foreign} of somebody else's, which is gone"
        elif record.state is State.PROTECTED:
            if held == 0 or not world.checker.has_stop(symbol):
                return f"{symbol} is PROTECTED with {held} open and the orders {ours}"
        elif record.state is State.ENTERING and record.trade is not None:
            waiting = record.trade.entry.client_id in ours
            if not waiting:
                return f"{symbol} is ENTERING and its entry does not rest"
        else:
            return f"{symbol} is {record.state} with {held} open"
    return ""


async def _start_again_at_rest(world: TortureRun) -> None:
    bot, daemon = world.bot, world.bot.daemon
    assert daemon is not None
    before = bot.records(daemon)
    sent = _sent(world)
    await bot.kill()
    bot.start()
    for _ in range(600):
        await world._wait(0.5)
        if bot.has_started:
            break
    await world._wait(QUIET_S)
    started = bot.has_started and bot.daemon is not None
    world.checker.check("RECOVERY_IDEMPOTENT", started, "the bot does not start again")
    if not started or bot.daemon is None:
        return
    after = bot.records(bot.daemon)
    difference = same_records(before, after)
    world.checker.check("RECOVERY_IDEMPOTENT", not difference, difference)
    world.checker.check("RECOVERY_IDEMPOTENT", _sent(world) == sent, "a start at rest sent an order")


def _sent(world: TortureRun) -> int:
    """Orders that the venue has of us, probes aside."""
    state = world.venue.state
    names = [order.client_id for order in state.orders] + [algo.client_id for algo in state.algos]
    parts = [found for name in names if (found := parse(name)) is not None]
    return sum(1 for found in parts if found.leg is not Leg.PROBE)


def examine(world: TortureRun, *, replays: bool) -> None:
    """The database, as another process finds it when the bot is gone. An engine that was broken on purpose would
    differ from the whole one that replays it."""
    checker, path = world.checker, world.bot.db
    report = verify(path)
    first = (
        f"{report.problems[0].table} {report.problems[0].row_id}: {report.problems[0].what}" if report.problems else ""
    )
    checker.check("JOURNAL_VERIFIES", report.fine, first)
    if replays:
        _check_replay(world)
    if not world.failed:
        _check_money(world)


def _check_replay(world: TortureRun) -> None:
    try:
        replayed = replay(world.bot.db)
    except ReplayError as error:
        world.checker.check("REPLAY_IDENTICAL", False, str(error))
        return
    first = str(replayed.differences[0])[:FOUND_MAX] if replayed.differences else ""
    found = f"{replayed.different} differ, first {first}"
    world.checker.check("REPLAY_IDENTICAL", replayed.different == 0, found)


def _check_money(world: TortureRun) -> None:
    """Symbols that no other hand has touched; transfers are nobody's result."""
    income: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in world.venue.state.ledger.rows:
        if row.income_type in RESULTS:
            income[row.symbol] += row.income
    booked: defaultdict[str, Decimal] = defaultdict(Decimal)
    with open_store(world.bot.db, mode="read") as store:
        for trade in queries.trades(store, limit=1_000_000):
            booked[trade.symbol] += trade.pnl - trade.fees + trade.funding
    for symbol in world.plan.symbols:
        if symbol in world.disturbances.ever_touched | world.checker.ever_taken_over:
            continue
        gap = booked[symbol] - income[symbol]
        found = f"{symbol}: trades say {booked[symbol]:f}, the exchange {income[symbol]:f}"
        world.checker.check("MONEY", abs(gap) <= MONEY_TOLERANCE, found)
