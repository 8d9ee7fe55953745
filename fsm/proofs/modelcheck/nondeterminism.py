"""Everything that may happen next in a state of the model, by name, and what a fair exchange would let happen."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from msgspec.structs import replace

from exchange.types import AlgoOrder, AlgoStatus, Order, OrderStatus, SymbolSnapshot
from fsm.core.model.intents import (
    CancelAlgo,
    CancelEntry,
    ClosePosition,
    EnsureSetup,
    Intent,
    Look,
    PlaceEntry,
    PlaceStop,
    PlaceTarget,
    SweepOrders,
)
from fsm.core.model.records import ZERO, HaltCause, State, TradeSide
from fsm.proofs.modelcheck import setup as market
from fsm.proofs.modelcheck.setup import DEADLINE_MS
from fsm.proofs.modelcheck.shell import Answer, Fate, Shell
from fsm.proofs.modelcheck.venue import FULL, NONE, PART, AbstractVenue, half_of, parts_of
from fsm.proofs.modelcheck.world import ModelState

Choice = tuple[str, Callable[[], None]]
"""Its name in a story, and the act itself in the shell that has entered the world."""

HALF_PCT = Decimal(50)

LEAVES, ENTERS = "its symbol leaves the list", "its symbol enters the list again"

TRADES_MAX = 2
"""More round trips than this bring nothing new."""

UNHEARD, DIES = Answer.UNHEARD, Answer.DIES
NOT_ARRIVED = Fate("never arrives, and nobody hears", answer=UNHEARD, arrives=False)
DONE_UNHEARD = Fate("is carried out, and nobody hears", answer=UNHEARD)
DONE_DIES = Fate("is carried out, and the bot dies", answer=DIES)
TEMPORARY = Fate("is refused for now (-1008)", code=-1008)
PERMISSION = Fate("is refused: no permission (-2015)", code=-2015)
WOULD_TRIGGER = Fate("is refused: would trigger at once (-2021)", code=-2021)
REFUSED = Fate("is refused (-1111)", code=-1111)

MARKET_FATES = (
    Fate("is filled"),
    Fate("is filled in part", amount=PART),
    Fate("is accepted, not filled yet", amount=NONE),
    TEMPORARY,
    PERMISSION,
    REFUSED,
    Fate("is filled, and nobody hears", answer=UNHEARD),
    Fate("is filled in part, and nobody hears", amount=PART, answer=UNHEARD),
    NOT_ARRIVED,
    Fate("is still on its way, and nobody hears", answer=UNHEARD, arrives=False, late=True),
    Fate("is filled, and the bot dies", answer=DIES),
)
LIMIT_FATES = (
    Fate("rests", amount=NONE),
    Fate("is filled", amount=FULL),
    Fate("is filled in part", amount=PART),
    REFUSED,
    Fate("rests, and nobody hears", amount=NONE, answer=UNHEARD),
    NOT_ARRIVED,
    Fate("is still on its way, and nobody hears", amount=NONE, answer=UNHEARD, arrives=False, late=True),
    Fate("rests, and the bot dies", amount=NONE, answer=DIES),
)
STOP_FATES = (
    Fate("rests"),
    TEMPORARY,
    PERMISSION,
    WOULD_TRIGGER,
    Fate("is refused: no position yet (-4509)", code=-4509),
    REFUSED,
    DONE_UNHEARD,
    NOT_ARRIVED,
    DONE_DIES,
)
TARGET_FATES = (Fate("rests"), TEMPORARY, WOULD_TRIGGER, REFUSED, DONE_UNHEARD, NOT_ARRIVED)
CLOSE_FATES = (
    Fate("is filled"),
    Fate("is filled in part, the rest expires", amount=PART),
    TEMPORARY,
    PERMISSION,
    Fate("is refused: no counterparty (-4131)", code=-4131),
    DONE_UNHEARD,
    NOT_ARRIVED,
    DONE_DIES,
)
CANCEL_FATES = (Fate("is carried out"), DONE_UNHEARD, NOT_ARRIVED)
SETUP_FATES = (
    Fate("is done"),
    REFUSED,
    NOT_ARRIVED,
    Fate("is done, and little is offered", means=market.THIN_OFFER),
    Fate("is done, and little is bid", means=market.THIN_BID),
    Fate("is done, and hardly an order may leave", means=market.NO_ORDERS),
    Fate("is done, and hardly a look may leave", means=market.NO_LOOKS),
    Fate("is done, and a stop waits for its turn", means=market.A_STOP_WAITS),
)


def _fates(intent: Intent) -> tuple[str, tuple[Fate, ...]]:
    match intent:
        case EnsureSetup():
            return "setup", SETUP_FATES
        case PlaceEntry(request=request):
            return "entry", MARKET_FATES if request.price is None else LIMIT_FATES
        case PlaceStop(request=algo):
            return "stop" if algo.close_position else "bridge", STOP_FATES
        case PlaceTarget(index=index):
            return f"target {index + 1}", TARGET_FATES
        case ClosePosition():
            return "close", CLOSE_FATES
        case CancelEntry():
            return "cancel of the entry", CANCEL_FATES
        case CancelAlgo(client_id=cid):
            return f"cancel of {cid[18:]}", CANCEL_FATES
        case SweepOrders():
            return "sweep", CANCEL_FATES
    raise AssertionError(f"{type(intent).__name__} is not sent")


class Nondeterminism:
    """The choices of one shell, once it has entered a world."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def of(self, world: ModelState) -> list[Choice]:
        """Everything that may happen, in an order that never changes."""
        deadline: Choice = ("the protection deadline passes", self._shell.pass_deadline)
        if _is_overdue(world):
            return [deadline]
        found = self._next_intent(world) if world.rows else [*self._looks(world), *self._candles(world)]
        found += self._at_the_exchange(world)
        found += self._commands(world)
        found.append((ENTERS if world.unlisted else LEAVES, self._shell.relist))
        found.append(("the bot is started again", self._shell.restart))
        if world.owed_ms is not None:
            found.append(deadline)
        return found

    def fair(self, world: ModelState) -> Choice:
        """What happens with an exchange that answers, and nobody who interferes."""
        if _is_overdue(world):
            return "the protection deadline passes", self._shell.pass_deadline
        if world.rows:
            return self._next_intent(world)[0]
        pending = next((choice for choice in self._at_the_exchange(world) if choice[0] in FAIR_EVENTS), None)
        return pending or ("a patient look", partial(self._shell.look, patient=True))

    # --- the shell's own work -----------------------------------------------------------------------
    def _next_intent(self, world: ModelState) -> list[Choice]:
        intent = world.rows[0][0]
        if isinstance(intent, Look):
            return self._looks(world)
        name, fates = _fates(intent)
        if world.late is not None or world.astray:  # one entry in doubt at a time
            fates = tuple(fate for fate in fates if not fate.late)
        return [(f"the {name} {fate.label}", partial(self._shell.carry, fate)) for fate in fates]

    def _looks(self, world: ModelState) -> list[Choice]:
        look = self._shell.look
        found: list[Choice] = [("a look", look), ("a patient look", partial(look, patient=True))]
        trade = world.record.trade
        if world.venue.position != 0:
            found.append(("a look that shows no position", partial(look, _without_position)))
        elif trade is not None and trade.open_quantity > 0:
            found.append(("a look that still shows the position", partial(look, _with_old_position)))
        if trade is not None:
            found.append(("a look that shows no order", partial(look, _without_orders)))
            found.append(("a look that shows no fill", partial(look, _without_fills)))
        return found

    def _candles(self, world: ModelState) -> list[Choice]:
        close, record = self._shell.close_candle, world.record
        if record.state is State.IDLE and record.trades_opened < TRADES_MAX:
            sides = tuple(TradeSide)
            if world.late is not None or world.astray:  # the way of an entry that is still in doubt, see docs/proofs.md
                sides = tuple(side for side in sides if side.sign == world.sign)
            found = [
                (f"a candle closes: go {side.value.lower()}", partial(close, rsi=market.rsi_of(side))) for side in sides
            ]
            small = partial(close, rsi=market.rsi_of(sides[0]), small=True)
            return [*found, (f"a candle closes: a small step {sides[0].value.lower()}", small)]
        if record.state is State.PROTECTED:
            return [
                ("a candle closes: the rules leave", partial(close, rsi=50.0)),
                ("a candle closes: the stop follows", partial(close, rsi=60.0, atr=market.ATR_CALM)),
            ]
        return []

    # --- the world ----------------------------------------------------------------------------------
    def _at_the_exchange(self, world: ModelState) -> list[Choice]:
        venue, now_ms = world.venue, world.now_ms
        found: list[Choice] = []
        for order in venue.orders.values():
            if order.status.is_open and not order.reduce_only:
                found += _entry_events(venue, order, now_ms)
        for algo in venue.algos.values():
            if algo.status.is_open and venue.position != 0:
                found += _algo_events(venue, algo, now_ms)
        if world.late is not None:
            found.append(("the late entry arrives", partial(_arrive, world)))
        if venue.stranger is None and not world.rows:
            stray = partial(venue.order_by_hand, TradeSide.LONG.entry_side, now_ms)
            found.append(("somebody else's order appears", stray))
        if venue.position != 0:
            side = TradeSide.LONG if venue.position > 0 else TradeSide.SHORT
            everything, half = abs(venue.position), half_of(abs(venue.position))
            out = partial(venue.by_hand, side.exit_side, now_ms=now_ms)
            found.append(("somebody closes the position", partial(out, quantity=everything)))
            if venue.ours == everything:
                found.append(("somebody closes half", partial(out, quantity=half)))
                more = partial(venue.by_hand, side.entry_side, half, now_ms)
                found.append(("somebody adds to the position", more))
        return found

    def _commands(self, world: ModelState) -> list[Choice]:
        record, command = world.record, self._shell.command
        operator, limit = HaltCause.OPERATOR, HaltCause.LIMIT_DAY
        found: list[Choice] = []
        if record.halt is None or record.halt.cause == limit:
            found.append(("the operator halts", partial(command, "halt", operator)))
        if record.state in (State.SIGNALLED, State.ENTERING, State.PROTECTED, State.EXITING):
            found.append(("the operator flattens", partial(command, "flatten", operator)))
        if record.state in (State.SIGNALLED, State.ENTERING) and not record.paused:
            found.append(("the operator pauses", partial(command, "pause", operator)))
        if record.halt or record.quarantine or record.paused:
            found.append(("the operator resumes", partial(command, "resume", operator)))
        found += self._by_hand(world)
        found += self._releases(world)
        found.append(("the operator asks for what cannot be", partial(self._shell.ask_for, _impossible(world))))
        if not world.exceeded:
            found.append(("the daily loss limit is exceeded", partial(command, "flatten", limit, exceeded=True)))
        else:
            found.append(("the day of the limit ends", partial(command, "resume", limit, exceeded=False)))
        return found

    def _by_hand(self, world: ModelState) -> list[Choice]:
        """What the operator changes of an open trade: each once in a trade, and while nothing else is being done."""
        trade, by_hand = world.record.trade, self._shell.by_hand
        if world.record.state is not State.PROTECTED or trade is None or trade.stop is None:
            return []
        found: list[Choice] = []
        if trade.part_number is None:
            found.append(("the operator closes half", partial(by_hand, "reduce", pct=HALF_PCT)))
        if trade.stop.version == 1:
            tighter, looser = (market.PRICE - trade.side.sign * away for away in (market.TIGHT, market.LOOSE))
            found.append(("the operator tightens the stop", partial(by_hand, "move-stop", price=tighter)))
            loosen = partial(by_hand, "move-stop", price=looser, looser=True, why="by choice")
            found.append(("the operator loosens the stop", loosen))
            unsaid = partial(by_hand, "move-stop", price=looser)
            found.append(("the operator asks for a looser stop without a word why", unsaid))
        for target in trade.targets:
            if trade.targets_sent and not target.done and target.attempt == 1:
                price = target.trigger_price + trade.side.sign * market.TIGHT
                number = target.index + 1
                move = partial(by_hand, "move-target", price=price, number=number)
                found.append((f"the operator moves target {number}", move))
        return found

    def _releases(self, world: ModelState) -> list[Choice]:
        trade, record = world.record.trade, world.record
        if (trade is None or trade.first_fill_ms is None) and (record.foreign is None or record.released is not None):
            return []
        release = self._shell.release
        return [
            ("the operator releases it", partial(release, cancel_stop=False)),
            ("the operator releases it without its stop", partial(release, cancel_stop=True)),
        ]


def _impossible(world: ModelState) -> list[tuple[str, dict[str, Any]]]:
    """Every wish by hand that this state must refuse."""
    record, trade = world.record, world.record.trade
    found: list[tuple[str, dict[str, Any]]] = []
    if (trade is None and record.foreign is None) or (trade is not None and trade.first_fill_ms is None):
        found.append(("release", {}))
    if record.state is not State.PROTECTED:
        price = market.PRICE - market.TIGHT
        found += [("reduce", {"pct": HALF_PCT}), ("move-stop", {"price": price})]
        found.append(("move-target", {"price": price, "number": 1}))
    return found


FAIR_EVENTS = ("the entry fills", "the resting entry expires", "the triggered stop fills at last")


def _is_overdue(world: ModelState) -> bool:
    return world.owed_ms is not None and world.now_ms - world.owed_ms >= DEADLINE_MS


def _entry_events(venue: AbstractVenue, order: Order, now_ms: int) -> list[Choice]:
    cid, resting = order.client_id, order.price != ZERO
    expires = "the resting entry expires" if resting else "the rest of the entry expires"
    fills = "the resting entry fills" if resting else "the entry fills"
    found: list[Choice] = [
        (fills, partial(venue.fill, cid, now_ms, whole=True)),
        (expires, partial(venue.end, cid, OrderStatus.EXPIRED, now_ms)),
    ]
    if order.executed_quantity == 0:
        found.append(("the entry fills in part", partial(venue.fill, cid, now_ms, whole=False)))
    return found


def _algo_events(venue: AbstractVenue, algo: AlgoOrder, now_ms: int) -> list[Choice]:
    cid = algo.client_id
    if algo.type == "TAKE_PROFIT_MARKET":
        return [(f"target {cid[18:]} is hit", partial(venue.trigger, cid, now_ms))]
    if algo.status is AlgoStatus.TRIGGERED:
        return [("the triggered stop fills at last", partial(venue.trigger, cid, now_ms))]
    end = partial(venue.end_algo, cid, now_ms=now_ms)
    return [
        (f"stop {cid[18:]} is hit", partial(venue.trigger, cid, now_ms)),
        (f"stop {cid[18:]} triggers and does not fill", partial(end, status=AlgoStatus.TRIGGERED)),
        (f"stop {cid[18:]} is rejected as it triggers", partial(end, status=AlgoStatus.REJECTED)),
        (f"stop {cid[18:]} vanishes", partial(end, status=AlgoStatus.CANCELED)),
    ]


def _arrive(world: ModelState) -> None:
    assert world.late is not None
    amount = FULL if world.late.price is None else NONE
    trade, number = world.record.trade, parts_of(world.late.client_id).trade_number
    world.astray = 0 if trade is not None and trade.number == number else number
    world.venue.place_order(world.late, world.now_ms, amount)
    world.late = None


# --- what a look may show instead of the truth ------------------------------------------------------
def _without_position(world: ModelState, snapshot: SymbolSnapshot) -> SymbolSnapshot:
    return replace(snapshot, position=None)


def _with_old_position(world: ModelState, snapshot: SymbolSnapshot) -> SymbolSnapshot:
    trade = world.record.trade
    assert trade is not None
    quantity = trade.open_quantity * trade.side.sign
    return replace(snapshot, position=world.venue.shown_position(quantity, world.now_ms))


def _without_orders(world: ModelState, snapshot: SymbolSnapshot) -> SymbolSnapshot:
    return replace(snapshot, orders=(), algo_orders=())


def _without_fills(world: ModelState, snapshot: SymbolSnapshot) -> SymbolSnapshot:
    return replace(snapshot, fills=(), income=())
