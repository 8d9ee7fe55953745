"""Clients that nobody here wrote work against the simulator, unmodified but for the address and the clock.

They are imported by the tests that need them: whoever collects all tests does without.
"""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_ccxt_and_the_official_sdk_work_and_the_documented_table_of_their_calls_is_current() -> None:
    from tests.integration.foreign_clients import BEGIN, DOCUMENT, END, both, table

    written = DOCUMENT.read_text("utf-8")
    shown = written[written.index(BEGIN) + len(BEGIN) : written.index(END)].strip()
    assert shown == table(*both()), "write it anew: python tests/integration/foreign_clients.py"


def test_ccxt_that_is_told_to_adjust_its_clock_signs_with_simulated_time() -> None:
    from tests.integration.foreign_clients import ccxt_with_its_own_clock

    ccxt_with_its_own_clock()
