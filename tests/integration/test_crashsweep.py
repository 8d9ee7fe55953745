"""The sweep of crashes: a sample of it on the real shell, all of it in ``make soak``, and on shells that are broken."""

from __future__ import annotations

import pytest

from fsm.proofs.crashsweep.broken_bots import VARIANTS, broken
from fsm.proofs.crashsweep.full_disk import Full
from fsm.proofs.crashsweep.invariants import CLAIMS
from fsm.proofs.crashsweep.points import Death, Fate, Side
from fsm.proofs.crashsweep.scripts import SCRIPTS
from fsm.proofs.crashsweep.sweep import Case, Report, cases_of, play_case, sweep


def told(report: Report) -> list[str]:
    return [f"{each.claim}: {each.found} ({each.reproduce})" for each in report.violations]


class TestTheBot:
    @pytest.mark.parametrize("script", SCRIPTS)
    def test_survives_a_sample_of_deaths(self, script: str) -> None:
        """R8, R18, R24: single deaths and one that is followed by another."""
        report = sweep(scripts=(script,), sample=3, doubles=1, seed=20_261)
        assert told(report) == []
        assert report.deaths >= 3

    @pytest.mark.slow
    @pytest.mark.parametrize("client", ["port", "real"])
    @pytest.mark.parametrize("script", SCRIPTS)
    def test_survives_every_single_death_and_many_double_ones(self, script: str, client: str) -> None:
        report = sweep(scripts=(script,), doubles=60, seed=1, client=client)
        assert told(report) == []
        assert report.cases >= report.possible


class TestAFullDisk:
    """R19: no byte more can be written from within a commit on, for two, twenty or ninety seconds."""

    def test_at_a_sample_of_the_commits_of_a_day_leaves_every_stop_and_loses_nothing(self) -> None:
        report = sweep(scripts=("first-start", "day"), full_disk=True, sample=10, seed=30)
        assert told(report) == []
        assert report.cases == 12

    @pytest.mark.slow
    def test_at_every_commit_of_a_day_leaves_every_stop_and_loses_nothing(self) -> None:
        report = sweep(scripts=("first-start", "day"), full_disk=True)
        assert told(report) == []
        assert report.cases == report.possible + 2

    def test_really_takes_nothing_more_and_ends_most_bots(self) -> None:
        case = Case("day", (Full(223, 20.0),))
        played = play_case(case, None)
        assert played.found == ()
        assert played.deaths == 2, "the disk was full, and the bot has ended by itself"
        assert Case.parse(str(case)) == case


class TestABrokenBot:
    @pytest.mark.parametrize("name", VARIANTS)
    def test_is_caught(self, name: str) -> None:
        variant = VARIANTS[name]
        with broken(variant):
            report = sweep(
                scripts=(variant.script,), where=variant.where, full_disk=variant.full_disk, violations_max=1
            )
        assert report.violations, f"nothing catches {variant.fault}"
        assert report.violations[0].claim in CLAIMS
        assert play_case(Case.parse(report.violations[0].case), None).found == (), (
            "the whole bot survives the same case"
        )


class TestCases:
    def test_every_call_is_died_at_on_both_sides_and_with_every_fate_of_what_is_under_way(self) -> None:
        calm = play_case(Case("stopped"), None)
        kinds = {point.kind.value for point in calm.points.values()}
        assert kinds == {"exchange", "commit", "message"}
        cases = cases_of("stopped", list(calm.points.values()))
        for point in calm.points.values():
            ends = {case.deaths[0] for case in cases if case.deaths[0].number == point.number}
            assert {death.side for death in ends} == set(Side)
            for side in point.carries:
                assert {death.fate for death in ends if death.side is side} == set(Fate)

    def test_the_first_start_dies_at_files_too(self) -> None:
        calm = play_case(Case("first-start"), None)
        files = [point.what for point in calm.points.values() if point.kind.value == "file"]
        assert files == ["lock", "open the database"]

    def test_a_case_is_named_so_that_it_can_be_played_again(self) -> None:
        case = Case("moved", (Death(17, Side.BEFORE, Fate.LATE), Death(3, Side.AFTER)))
        assert str(case) == "moved:17.before.late:3.after.lost"
        assert Case.parse(str(case)) == case

    @pytest.mark.parametrize("text", ["nowhere", "moved:17", "moved:x.before.lost", "moved:1.beside.lost"])
    def test_a_case_that_there_is_not_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"script|is not|not a valid"):
            Case.parse(text)

    def test_the_same_case_comes_out_the_same(self) -> None:
        case = Case.parse("moved:60.before.late:9.after.executed")
        assert play_case(case, None) == play_case(case, None)


def test_deaths_of_a_bot_that_speaks_through_the_real_client() -> None:
    """Requests, answers, signatures and budgets are real; each life has a client of its own."""
    report = sweep(scripts=("stopped", "refused"), sample=6, doubles=1, seed=1, client="real")
    assert report.violations == ()
    assert report.deaths >= 6
