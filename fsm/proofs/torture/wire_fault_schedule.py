"""The scheduled faults on the wire: decides what befalls each request of the real client, and what the stream tells."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from exchange.client_ids import parse
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.faults import Match, Rule
from exchange.sim.server.gateway import Answer
from exchange.sim.server.memory import Asked, Blow, Broken
from fsm.proofs.torture.candle_lists import CandleLists
from fsm.proofs.torture.checkers import InvariantChecker
from fsm.proofs.torture.fault_schedule import FaultSchedule
from fsm.proofs.torture.naked_time import AGAIN_S, EVERYBODY
from fsm.proofs.torture.plan import Disturbance
from fsm.proofs.torture.wire_fault_catalog import ALGO, ORDER, WIRE_MENU, Wait
from fsm.proofs.wire.words import answer_tells

KLINES = "/fapi/v1/klines"
PROBE_S_MAX, BAN_PROBE_S = 10.0, 120.0
FIRST_AFTER_S = 0.25
LATE_S = 3.0
CLIENT_WAITS_S = 5.0


class WireFaultSchedule(FaultSchedule):
    """Implements the Weather of exchange/sim/server/memory.py. Pauses last on the loop's clock, the rest as planned."""

    def __init__(
        self,
        seed: int,
        emulator: Emulator,
        monotonic: Callable[[], float],
        checker: InvariantChecker,
        candles: CandleLists,
    ) -> None:
        super().__init__(seed, emulator.venue, monotonic)
        self._candles = candles
        self._emulator = emulator
        self._checker = checker
        self._wait: Wait | None = None
        self._wait_until_s = 0.0
        self._unanswered = 0

    # --- arming -------------------------------------------------------------------------------
    def arm(self, what: Disturbance) -> None:
        if what.kind == "lag":
            match = Match(path="/fapi/v*/positionRisk")
            self._emulator.faults.add(Rule(effect="stale_position", match=match, times=what.count))
        elif what.kind == "stream" and what.what == "resync":
            self._emulator.hub.cut()
        else:
            super().arm(what)

    def end_all(self) -> None:
        super().end_all()
        self._emulator.faults.remove()
        self._emulator.limiter.pardon()
        self._wait = None

    def is_brief(self) -> bool:
        return self._is_waiting() or super().is_brief()

    def is_fair(self) -> bool:
        return not self._is_waiting() and super().is_fair()

    def _is_waiting(self) -> bool:
        return self._wait is not None and self._monotonic() < self._wait_until_s

    # --- requests -----------------------------------------------------------------------------
    def befalls(self, asked: Asked) -> Blow | None:
        self.passed()
        blow = self._blow(asked)
        if blow is not None:
            now_s = self.touched_s = self._monotonic()
            takes_s = min(blow.request_s + blow.answer_s, CLIENT_WAITS_S)
            takes_s = CLIENT_WAITS_S if blow.broken is Broken.SILENT else takes_s
            self._checker.judge.hindered(self._symbol(asked), now_s, now_s + takes_s + AGAIN_S)
        if asked.path == KLINES and self._candles.is_spoilt(asked.symbol):
            return replace(blow or Blow(), alter=partial(self._listed, asked.symbol))
        return blow

    def _listed(self, symbol: str, answer: Answer) -> Answer:
        """Candles as they are listed now."""
        if answer.status != 200 or not isinstance(answer.value, list):
            return answer
        rows = self._candles.rows(symbol, answer.value, self._emulator.now_ms)
        return replace(answer, value=rows)

    def _blow(self, asked: Asked) -> Blow | None:
        for armed in self._in_force("outage"):
            return Blow(broken=Broken.DROPPED, arrives=armed.chance.random() < 0.2)
        wait = self._wait
        if self._is_waiting() and wait is not None and (asked.method == "POST" or not wait.orders_only):
            self._wait_until_s += wait.grows_s
            return self._told_to_wait(wait)
        for armed in self._in_force("fault"):
            row = WIRE_MENU[armed.what.what]
            if not row.befalls(asked):
                continue
            armed.left -= 1
            self.fired[row.name] += 1
            if not isinstance(row.make, Wait):
                return row.make(armed.chance, asked)
            armed.left = 0
            self._wait, self._wait_until_s = row.make, self._monotonic() + row.make.seconds
            return self._told_to_wait(row.make)
        return None

    def _told_to_wait(self, wait: Wait) -> Blow:
        """The bot may do nothing until the stated end, or the next step of its ladder of probes."""
        now_s = self._monotonic()
        left_s = math.ceil(max(self._wait_until_s - now_s, 0.0))
        self._unanswered += 1
        if wait.stated:
            self._wait_until_s = now_s + left_s
            until_s = self._wait_until_s + FIRST_AFTER_S
        else:
            doubled = 2.0 ** (self._unanswered - 1)
            until_s = now_s + (BAN_PROBE_S * doubled if wait.is_ban else min(doubled, PROBE_S_MAX))
        self._checker.judge.hindered(EVERYBODY, now_s, until_s + AGAIN_S)
        return Blow(instead=wait.says(left_s))

    def _symbol(self, asked: Asked) -> str:
        """Whose request it is; a conditional order is asked for and cancelled by its id alone."""
        if asked.symbol or asked.path != ALGO:
            return asked.symbol or "?"
        found = self._emulator.state.algos.find(asked.client_id)
        return "?" if found is None else found.symbol

    def arrives(self, asked: Asked) -> None:
        if asked.method == "DELETE" and asked.path == ORDER:
            self._checker.order_is_cancelled(asked.client_id)
        elif asked.method == "DELETE" and asked.path == ALGO:
            self._checker.algo_is_cancelled(self._symbol(asked), asked.client_id)

    def answered(self, asked: Asked, answer: Answer | None) -> None:
        if answer is not None and answer.status not in (403, 418, 429):
            self._unanswered = 0
        answer_tells(self._checker.judge, asked, answer)
        if asked.method == "POST" and asked.path == ORDER:
            self._closed(asked, answer)

    def _closed(self, asked: Asked, answer: Answer | None) -> None:
        """A close that is refused, or leaves some of the position open, is worth one round trip (R84): pieces that
        the largest lot asks for are filled whole, each of them, and there must still be a next one."""
        parts = parse(asked.client_id)
        value = answer.value if answer is not None else None
        whole = isinstance(value, dict) and "orderId" in value and self._checker.quantity(asked.symbol) == 0
        if parts is not None and parts.leg.name == "CLOSE" and not whole:
            self._checker.judge.hindered(asked.symbol, asked.at_s, self._monotonic() + AGAIN_S)

    def stream_late_s(self) -> float:
        trouble = self.stream()
        return -1.0 if "lost" in trouble else LATE_S if "late" in trouble else 0.0
