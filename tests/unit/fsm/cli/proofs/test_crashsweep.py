"""crashsweep: a sample is as small as it was asked for, also through the real client, and its cost is told."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from fsm.cli.app import app


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["crashsweep", *args])


@pytest.mark.parametrize("client", ["port", "real"])
def test_a_small_sample_plays_few_double_deaths(client: str) -> None:
    """Ten single deaths once came with two hundred double ones, and looked like a bot that hangs."""
    result = run("--script", "first-start", "--sample", "5", "--client", client, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["violations"] == []
    assert document["cases"] == 1 + 5 + 1  # undisturbed, single, double


def test_double_deaths_are_as_many_as_asked_for() -> None:
    document = json.loads(run("--script", "first-start", "--sample", "1", "--doubles", "3", "--json").stdout)
    assert document["cases"] == 1 + 1 + 3


def test_what_a_case_costs_is_told() -> None:
    result = run("--script", "first-start", "--sample", "1")
    assert result.exit_code == 0, result.output
    assert "processor time of a case" in result.output


@pytest.mark.parametrize("more", [(), ("--full-disk",)])
def test_a_sweep_that_met_nothing_has_proved_nothing(more: tuple[str, ...]) -> None:
    """It ended with 0 violations and exit code 0."""
    result = run("--where", "no_such_call", *more)
    assert result.exit_code == 2
    assert "nothing was proved: no call has 'no_such_call' in its name" in result.output
