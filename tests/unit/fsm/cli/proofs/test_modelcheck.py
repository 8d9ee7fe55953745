"""modelcheck: counts as JSON, exit 4 with a story for a broken engine, and the page it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fsm.cli.app import app
from fsm.proofs.modelcheck.invariants import CLAIMS
from fsm.proofs.modelcheck.page import BEGIN, END
from fsm.proofs.testkit.broken_engines import VARIANTS


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["modelcheck", *args])


def test_the_json_document_counts_what_was_tried() -> None:
    result = run("--depth", "1", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    assert document["violations"] == []
    assert document["cases"] > document["states"] > 50
    assert document["seconds"] > 0
    assert document["depth"] == 1


def test_a_broken_engine_ends_with_4_and_a_story_that_one_can_read() -> None:
    result = run("--depth", "2", "--variant", "deadline-ignored")
    assert result.exit_code == 4
    assert "PROTECTED_OR_CLOSING" in result.output
    assert "1. a candle closes: go long   [signal model LONG -> SIGNALLED]" in result.output
    assert "the protection deadline passes" in result.output


def test_the_broken_engines_are_listed_and_an_unknown_one_is_refused() -> None:
    assert json.loads(run("--variants", "--json").output)["variants"].keys() == VARIANTS.keys()
    assert "one-piece-only" in run("--variants").output
    refused = run("--variant", "nothing-of-the-kind")
    assert refused.exit_code == 2
    assert "--variants" in refused.output


def test_the_page_keeps_what_people_wrote_around_the_generated_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two broken engines: that each is caught is shown where the model check itself is tested."""
    two = {name: VARIANTS[name] for name in list(VARIANTS)[:2]}
    monkeypatch.setattr("fsm.proofs.modelcheck.page.VARIANTS", two)
    page = tmp_path / "proofs.md"
    page.write_text(f"# Ours\n{BEGIN}\nfrom last year\n{END}\nthe end\n", encoding="utf-8")
    assert run("--depth", "1", "--page", str(page)).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# Ours\n{BEGIN}\n`python -m fsm modelcheck --depth 1`")
    assert text.endswith(f"{END}\nthe end\n")
    assert "from last year" not in text
    assert all(name in text for name in (*CLAIMS, *two))


def test_the_page_in_docs_names_every_claim_and_every_broken_engine() -> None:
    text = (Path(__file__).parents[5] / "docs" / "proofs.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in (*CLAIMS, *VARIANTS))
    assert "| nothing |" not in text
