"""The pulse tells how late the loop was, and whether the stream is heard."""

from __future__ import annotations

import asyncio

import pytest

from fsm.live.context.clock import MachineClock
from fsm.live.process.loop_lag import SAMPLE_S, LoopLag


class LateClock(MachineClock):
    """Each sleep takes as much longer as the next of ``late_s`` says; then nobody sleeps any more."""

    def __init__(self, *late_s: float) -> None:
        self._late_s = iter(late_s)
        self._now_s = 100.0

    def monotonic(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        late_s = next(self._late_s, None)
        if late_s is None:
            raise asyncio.CancelledError
        self._now_s += seconds + late_s


def felt(loop_lag: LoopLag, *late_s: float) -> None:
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(loop_lag.feel(LateClock(*late_s)))


def test_the_longest_lag_since_the_last_time_is_told_once() -> None:
    loop_lag = LoopLag()
    felt(loop_lag, 0.0, 0.25, 0.01)
    assert loop_lag.take_lag_ms() == pytest.approx(250.0)
    assert loop_lag.take_lag_ms() == 0.0
    felt(loop_lag, 0.002)
    assert loop_lag.take_lag_ms() == pytest.approx(2.0)


def test_the_loop_is_tried_often_enough_to_notice_a_stall_of_a_tenth_of_a_second() -> None:
    assert 0 < SAMPLE_S <= 0.1


def test_the_stream_is_off_connected_or_down() -> None:
    loop_lag = LoopLag()
    assert loop_lag.stream == "off"
    loop_lag.hears = lambda: True
    assert loop_lag.stream == "connected"
    loop_lag.hears = lambda: False
    assert loop_lag.stream == "down"
