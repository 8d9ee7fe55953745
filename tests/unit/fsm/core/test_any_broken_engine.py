"""The state machine of test_any_exchange catches engines that were broken on purpose: a test that cannot fail shows
nothing."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from fsm.proofs.overview import BROKEN_BY_ANY_EXCHANGE
from fsm.proofs.testkit.breaking import broken
from fsm.proofs.testkit.broken_engines import VARIANTS
from tests.unit.fsm.core.test_any_exchange import NobodyInterferes

UNSHRUNK = settings(
    max_examples=600, stateful_step_count=50, phases=[Phase.generate], print_blob=False, derandomize=True
)


WELL_HIDDEN = {"refused-stop-is-placed", "one-piece-only", "refused-close-pending", "quarantine-drops-protection"}
"""They show in one of some hundred lives: make soak waits for that."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in WELL_HIDDEN else name for name in BROKEN_BY_ANY_EXCHANGE],
)
def test_a_broken_engine_does_not_get_through(name: str) -> None:
    with broken(VARIANTS[name]), pytest.raises(AssertionError):
        run_state_machine_as_test(NobodyInterferes, settings=UNSHRUNK)
