"""The page of proofs names what there is: claims, broken bots, files, commands; and is as its generator writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm.cli.app import COMMANDS
from fsm.proofs.crashsweep.broken_bots import VARIANTS as BROKEN_SHELLS
from fsm.proofs.overview import (
    ANY,
    ANY_EXCHANGE_LIVES,
    BEGIN,
    END,
    INVARIANTS,
    PROOFS,
    TESTS,
    Proof,
    overview,
    write_overview,
)
from fsm.proofs.testkit.broken_engines import VARIANTS as BROKEN_ENGINES
from tests.unit.fsm.core import test_any_exchange as any_exchange

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "proofs.md"
CLAIMS = {proof.name: proof.claims for proof in PROOFS}


def test_the_page_is_as_its_generator_writes_it(tmp_path: Path) -> None:
    """``python -m fsm.proofs.overview`` writes it anew."""
    copy = tmp_path / "proofs.md"
    copy.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    write_overview(copy)
    same = copy.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
    assert same, "docs/proofs.md is old: run python -m fsm.proofs.overview"
    assert copy.read_text(encoding="utf-8").count(BEGIN) == copy.read_text(encoding="utf-8").count(END) == 1


def test_every_check_that_it_names_exists() -> None:
    machine = any_exchange.AnyExchange
    for invariant in INVARIANTS:
        for name, checks in invariant.checked.items():
            for check in checks:
                if name == TESTS:
                    assert (ROOT / check).is_file(), check
                elif name == ANY:
                    assert hasattr(machine, check) or hasattr(machine, f"_{check}"), check
                else:
                    assert check in CLAIMS[name], check


def test_nine_promises_each_with_a_proof() -> None:
    assert len(INVARIANTS) == 9
    assert all(invariant.checked for invariant in INVARIANTS)


@pytest.mark.parametrize("proof", [proof for proof in PROOFS if proof.claims], ids=lambda proof: proof.name)
def test_every_proof_is_a_command_and_most_of_its_claims_serve_a_promise(proof: Proof) -> None:
    assert proof.command.split()[3] in COMMANDS
    used = {check for invariant in INVARIANTS for check in invariant.checked.get(proof.name, ())}
    assert len(used) >= len(proof.claims) / 2


def test_every_broken_bot_is_caught_by_something() -> None:
    text = overview(PAGE.read_text(encoding="utf-8"))
    for name in (*BROKEN_ENGINES, *BROKEN_SHELLS):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert not row.endswith("| nothing |"), row


def test_the_lives_of_any_exchange_are_counted_right() -> None:
    assert len(any_exchange.MACHINES) * any_exchange.EFFORT.max_examples == ANY_EXCHANGE_LIVES
    assert any_exchange.EFFORT.stateful_step_count == 50
