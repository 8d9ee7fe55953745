"""Lets a backtest live through what a bot did: late orders, other fills, missed closes, wishes, edits, small steps."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from exchange.sim.core.orders import OrderState
from exchange.types import Refused, Side
from fsm.core import small_steps
from fsm.core.engine import Engine
from fsm.core.model.decision import Step
from fsm.core.model.events import Commanded
from fsm.core.model.records import Flag, SmallSteps, Trade
from fsm.core.model.records import Foreign as Held

Fills = tuple[tuple[Decimal, Decimal, bool], ...]
"""Price and quantity of one execution after the other, and whether the order had waited for it (as maker)."""


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of rules.yaml and config.yaml that were in force from a moment on."""

    at_ms: int
    rules: str
    config: str


class AccountWish(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator wanted of the whole account: ``kind`` as the journal calls it."""

    at_ms: int
    kind: str
    paused: bool
    halt: Flag | None

    def put(self, engine: Engine, now_ms: int) -> None:
        """Raises Rejected where it is refused in this run."""
        engine.set_account(now_ms, self.kind, paused=self.paused, halt=self.halt)


class StepsFrom(msgspec.Struct, frozen=True, kw_only=True):
    """Small steps as they were from a moment on; None: trades of full size."""

    at_ms: int
    steps: SmallSteps | None

    def put(self, engine: Engine, now_ms: int) -> None:
        kind = small_steps.ENDED if self.steps is None else small_steps.BEGUN
        engine.change_account(now_ms, (kind,), replace(engine.account, steps=self.steps))


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came from outside (above zero) or went there."""

    at_ms: int
    amount: Decimal


class HandOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Something that another hand than the bot's bought or sold at the exchange."""

    at_ms: int
    symbol: str
    side: Side
    quantity: Decimal


class LateClose(msgspec.Struct, frozen=True, kw_only=True):
    """A close was decided on at ``at_ms``, by the prices of ``read_ms``; of these symbols the bot had heard before."""

    read_ms: int
    at_ms: int
    heard: frozenset[str] = frozenset()


class Unheard(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a symbol's orders in between was heard of only at ``to_ms``."""

    symbol: str
    from_ms: int
    to_ms: int


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """From when to when nothing was entered in a symbol for what another hand held or ordered there; ``held`` as it
    was seen first, None where that was nothing."""

    symbol: str
    from_ms: int
    to_ms: int
    held: Held | None


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A trade that the bot had, as it was booked, or a signal that came to nothing: from its close to its end."""

    from_ms: int
    to_ms: int
    trade: Trade


class Injected(msgspec.Struct, frozen=True, kw_only=True):
    """``decided``: closes that were decided on later; ``unheard``: what was heard of later.
    ``delays``: by symbol and close, so many ms later its orders reached the exchange; or those of a command, by its
    time. ``refused``: entries that came to nothing, and as what. ``blocked``: closes at which nothing may be entered in
    a symbol, ``missed``: at which nothing was decided of it. ``fills``: what orders of a symbol and side were filled at
    within a bar, by its open time. ``edits``: files that were taken up on the way. ``commands`` are about a symbol,
    ``account`` about all of them. ``hands`` and ``foreign`` are what others did. ``past`` are the bot's trades, and
    ``wallets`` what its wallet held at closes: what came before a trade."""

    decided: Mapping[int, LateClose] = {}
    unheard: tuple[Unheard, ...] = ()
    delays: Mapping[tuple[str, int], int] = {}
    refused: Mapping[tuple[str, int], Refused] = {}
    blocked: frozenset[tuple[str, int]] = frozenset()
    missed: frozenset[tuple[str, int]] = frozenset()
    commands: tuple[Commanded, ...] = ()
    fills: Mapping[tuple[str, Side, int], Fills] = {}
    edits: tuple[Edit, ...] = ()
    account: tuple[AccountWish, ...] = ()
    steps: tuple[StepsFrom, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    hands: tuple[HandOrder, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    past: tuple[Past, ...] = ()
    wallets: Mapping[int, Decimal] = {}

    @property
    def any_moment(self) -> bool:
        """Whether something comes at moments of its own, which a run must not jump over."""
        timed = (self.decided, self.edits, self.account, self.steps, self.transfers, self.foreign, self.past)
        return any(timed)

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__struct_fields__)

    def beside(self, other: Injected) -> Injected:
        """Both."""
        return Injected(
            decided=self.decided or other.decided,
            unheard=self.unheard or other.unheard,
            delays={**self.delays, **other.delays},
            refused={**self.refused, **other.refused},
            blocked=self.blocked | other.blocked,
            missed=self.missed | other.missed,
            commands=tuple(sorted((*self.commands, *other.commands), key=lambda command: command.at_ms)),
            fills={**self.fills, **other.fills},
            edits=self.edits or other.edits,
            account=max(self.account, other.account, key=len),
            steps=self.steps or other.steps,
            transfers=self.transfers or other.transfers,
            hands=self.hands or other.hands,
            foreign=self.foreign or other.foreign,
            past=self.past or other.past,
            wallets=self.wallets or other.wallets,
        )


class Delayed(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that were decided on in an earlier bar."""

    symbol: str
    steps: tuple[Step, ...]


Act = Commanded | HandOrder | Unheard | Delayed


class Injector:
    """What of it is due, for a run in bars of ``step_ms``."""

    def __init__(self, injected: Injected, step_ms: int) -> None:
        self._injected = injected
        self._step_ms = step_ms
        acts: list[Commanded | HandOrder] = [*injected.commands, *injected.hands]
        timed: list[tuple[int, Act]] = [(each.to_ms, each) for each in injected.unheard]
        timed += [(each.at_ms + injected.delays.get((each.symbol, each.at_ms), 0), each) for each in acts]
        self._acts = sorted(timed, key=lambda each: each[0])
        moments: list[AccountWish | StepsFrom] = [*injected.account, *injected.steps]
        self._moments = deque(sorted(moments, key=lambda each: each.at_ms))
        self._transfers = deque(injected.transfers)
        self._left = {key: list(fills) for key, fills in injected.fills.items()}

    def next_ms(self, now_ms: int, last_ms: int) -> int:
        """Up to where nothing of it happens: the bar in which the next command comes, and at most ``last_ms``."""
        if not self._acts:
            return last_ms
        bar_ms = self._acts[0][0] // self._step_ms * self._step_ms
        return min(last_ms, bar_ms if bar_ms > now_ms else now_ms + self._step_ms)

    def acts(self, until_ms: int) -> Iterator[tuple[int, Act]]:
        """What is done before then, each with its time."""
        while self._acts and self._acts[0][0] < until_ms:
            yield self._acts.pop(0)

    def moments(self, now_ms: int) -> Iterator[AccountWish | StepsFrom]:
        """What has come by now."""
        while self._moments and self._moments[0].at_ms <= now_ms:
            yield self._moments.popleft()

    def transferred(self, now_ms: int) -> Decimal:
        """What has come in, less what has gone out, since the last time."""
        found = Decimal(0)
        while self._transfers and self._transfers[0].at_ms <= now_ms:
            found += self._transfers.popleft().amount
        return found

    def is_missed(self, symbol: str, close_ms: int) -> bool:
        return (symbol, close_ms) in self._injected.missed

    def is_blocked(self, symbol: str, close_ms: int) -> bool:
        return (symbol, close_ms) in self._injected.blocked

    def refusal(self, symbol: str, now_ms: int) -> Refused | None:
        """What an entry comes to where that is nothing, whenever in its bar it is sent."""
        return self._injected.refused.get((symbol, now_ms // self._step_ms * self._step_ms))

    def is_heard(self, symbol: str, now_ms: int) -> bool:
        """Whether what happens to its orders now is heard of at once."""
        return not any(each.symbol == symbol and each.from_ms <= now_ms < each.to_ms for each in self._injected.unheard)

    def late_close(self, close_ms: int) -> LateClose | None:
        """When a close is decided on, if that is later."""
        return self._injected.decided.get(close_ms)

    def late(self, steps: Sequence[Step], close_ms: int) -> tuple[list[Step], list[tuple[int, list[Step]]]]:
        """What is carried out at once, and the rest by when it is; what is not carried out in this bar waits."""
        at_once: list[Step] = []
        later: defaultdict[int, list[Step]] = defaultdict(list)
        for step in steps:
            delay_ms = self._injected.delays.get((step.symbol, close_ms), 0)
            (later[close_ms + delay_ms] if delay_ms else at_once).append(step)
        end_ms = close_ms + self._step_ms
        waiting = [(due_ms, found) for due_ms, found in later.items() if due_ms >= end_ms]
        for due_ms, found in waiting:
            insort(self._acts, (due_ms, Delayed(symbol=found[0].symbol, steps=tuple(found))), key=lambda each: each[0])
        return at_once, sorted((each for each in later.items() if each[0] < end_ms), key=lambda each: each[0])

    def taken(self, order: OrderState, now_ms: int) -> Fills | None:
        """What an order is filled at; None: as the market has it. What it closes is closed whole.

        One that was filled as maker rests until the price comes to it.
        """
        key = (order.symbol, order.side, now_ms // self._step_ms * self._step_ms)
        if key not in self._left:
            return None
        listed, wanted, found = self._left[key], order.remaining, []
        if order.price is not None and order.created_ms == now_ms and listed and listed[0][2]:
            return ()
        while listed and wanted > 0:
            price, quantity, waited = listed.pop(0)
            here = min(quantity, wanted)
            found.append((price, here, waited))
            wanted -= here
            if quantity > here:
                listed.insert(0, (price, quantity - here, waited))
        if wanted > 0 and order.reduce_only:
            if not found:
                return None
            price, quantity, waited = found[-1]
            found[-1] = (price, quantity + wanted, waited)
        return tuple(found)


NOTHING = Injected()
