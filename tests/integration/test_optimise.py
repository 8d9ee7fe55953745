"""A search typed at real processes: the same table on any number of workers and through deaths; figures by hand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SPAN = ("--symbols", "BTCUSDT", "--from", "2024-09-01", "--to", "2025-01-31")
VARIED = ("--vary", "adx_trend=25..27:2", "--vary", "stop_atr_min=1..2:1")
WINDOWS = ("--folds", "2", "--test", "30", "--train", "60", "--gap", "2")
SEARCH = ("optimise", *SPAN, *VARIED, *WINDOWS, "--luck", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("search")
    for name in ("config.yaml", "rules.yaml"):
        shutil.copy(ROOT / name, made / name)
    return made


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fsm", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "BINANCE_ENV": "sim"}


def ran(folder: Path, *arguments: str, exits: int = 0) -> str:
    ended = subprocess.run(
        command(*arguments), cwd=folder, env=environment(), capture_output=True, text=True, timeout=600, check=False
    )
    assert ended.returncode == exits, ended.stderr
    return ended.stdout


def document(folder: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ran(folder, *arguments, "--json"))
    return found


def workers_of(pid: int) -> list[int]:
    """The processes that try variants for a client."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


def until_first_variant(client: subprocess.Popen[str]) -> None:
    """The first variant is the best so far, and is told."""
    assert client.stderr is not None
    assert any('"reason":"BEST"' in line for line in client.stderr), "it ended before it had tried anything"


@pytest.fixture(scope="module")
def table(folder: Path) -> bytes:
    ran(folder, *SEARCH, "--study", "one", "--workers", "1", "--csv", "one.csv")
    return (folder / "one.csv").read_bytes()


def lines(found: bytes) -> Sequence[str]:
    return found.decode().splitlines()


def test_the_table_has_the_rules_as_they_are_and_every_variant(table: bytes) -> None:
    head, first, *variants = lines(table)
    assert head.startswith("trial,adx_trend,stop_atr_min,trades,wins,losses,net_pnl_usdt,")
    assert head.endswith(",window_1,window_2,refused")
    assert first.startswith("0,,,")
    assert [line.split(",")[:3] for line in variants] == [
        [str(2 * place + half + 1), str(adx), str(half + 1)] for place, adx in enumerate((25, 27)) for half in (0, 1)
    ]


@pytest.mark.slow
def test_two_workers_give_the_same_table(folder: Path, table: bytes) -> None:
    ran(folder, *SEARCH, "--study", "two", "--workers", "2", "--csv", "two.csv")
    assert (folder / "two.csv").read_bytes() == table


def test_workers_that_are_killed_are_begun_again(folder: Path, table: bytes) -> None:
    arguments = command(*SEARCH, "--study", "killed", "--workers", "2", "--csv", "killed.csv", "--json")
    with subprocess.Popen(
        arguments, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as client:
        until_first_variant(client)
        killed = workers_of(client.pid)
        for worker in killed:
            os.kill(worker, signal.SIGKILL)
        assert client.stderr is not None
        client.stderr.read()
        assert client.wait(600) == 0
    assert len(killed) == 2
    assert (folder / "killed.csv").read_bytes() == table


@pytest.mark.slow
def test_a_client_that_is_killed_goes_on_where_it_was(folder: Path, table: bytes) -> None:
    arguments = command(*SEARCH, "--study", "resumed", "--workers", "1", "--json")
    with subprocess.Popen(
        arguments, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as client:
        until_first_variant(client)
        client.kill()
    so_far = document(folder, "optimise", "show", "resumed")
    tried = [row["trial"] for row in so_far["table"] if row["figures"] is not None]
    assert tried, "what was told is kept"
    assert len(tried) < 5
    ran(folder, *SEARCH, "--study", "resumed", "--workers", "2", "--csv", "resumed.csv")
    assert (folder / "resumed.csv").read_bytes() == table


def test_the_same_again_tries_nothing_again(folder: Path, table: bytes) -> None:
    before = document(folder, "optimise", "show", "one")
    again = subprocess.run(
        command(*SEARCH, "--study", "one", "--json"),
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    assert "BEST" not in again.stderr
    assert json.loads(again.stdout) == before


def test_another_search_does_not_go_into_the_same_study(folder: Path, table: bytes) -> None:
    ended = subprocess.run(
        command("optimise", *SPAN, "--vary", "adx_trend=24..25:1", *WINDOWS, "--study", "one"),
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "a study with other parameters" in ended.stderr


LAID = [
    ("2024-10-02", "2024-11-30", "2024-12-03", "2025-01-01"),
    ("2024-11-01", "2024-12-30", "2025-01-02", "2025-01-31"),
]
"""First and last days of search and judgement: two windows of 30 days up to the last day, each 2 days behind 60."""


def backtest(folder: Path, adx_trend: int, stop_atr_min: int, first: str, last: str) -> dict[str, Any]:
    """What `backtest` has of a variant over some days."""
    text = (ROOT / "rules.yaml").read_text("utf-8")
    text = text.replace("adx_trend: 25 ", f"adx_trend: {adx_trend} ").replace(
        "stop_atr_min: 2.0 ", f"stop_atr_min: {stop_atr_min} "
    )
    (folder / "by_hand.yaml").write_text(text, encoding="utf-8")
    return document(
        folder, "backtest", "--rules", "by_hand.yaml", "--symbols", "BTCUSDT", "--from", first, "--to", last
    )


def day_after(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def by_hand(folder: Path, first: str, last: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, (adx, stop) in enumerate(((a, s) for a in (25, 27) for s in (1, 2)), start=1):
        yield number, backtest(folder, adx, stop, first, last)


def test_walk_forward_is_what_one_gets_by_hand(folder: Path, table: bytes) -> None:
    """Each window: a backtest of every variant before it, the best of them, and a backtest of that one in it."""
    found = document(folder, "optimise", "show", "one")["walk_forward"]
    values = [(a, s) for a in (25, 27) for s in (1, 2)]
    for window, (train, until, test, end) in zip(found["windows"], LAID, strict=True):
        assert [window[name][:10] for name in ("train_from", "train_to", "test_from", "test_to")] == [
            train, day_after(until), test, day_after(end),
        ]  # fmt: skip
        before = dict(by_hand(folder, train, until))
        best = max(before, key=lambda number: (before[number]["sharpe"], -number))
        assert window["trial"] == best
        judged = backtest(folder, *values[best - 1], test, end)
        assert window["train"] == {name: before[best][name] for name in window["train"]}
        assert window["test"] == {name: judged[name] for name in window["test"]}
    sums = found["out_of_sample"]
    tests = [window["test"] for window in found["windows"]]
    assert sums["trades"] == sum(each["trades"] for each in tests)
    assert Decimal(str(sums["net_pnl_usdt"])) == sum(Decimal(str(each["net_pnl_usdt"])) for each in tests)
    grown = (1 + tests[0]["return_pct"] / 100) * (1 + tests[1]["return_pct"] / 100)
    assert sums["return_pct"] == round((grown - 1) * 100, 6)
    assert found["stability"]["earned"] == sum(each["net_pnl_usdt"] > 0 for each in tests)


def test_a_trial_is_applied_to_a_file_of_its_own(folder: Path, table: bytes) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    found = document(folder, "optimise", "apply", "one", "--trial", "4")
    written = (folder / "rules.one-4.yaml").read_text("utf-8")
    assert written == (ROOT / "rules.yaml").read_text("utf-8").replace("adx_trend: 25 ", "adx_trend: 27 ")
    assert [change["told"] for change in found["changes"]] == ["threshold adx_trend: 25 → 27"]
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.name in before}
    assert after == before, "nothing live has changed"
    assert "rules.one-4.yaml: fine" in ran(folder, "rules", "check", "--rules", "rules.one-4.yaml")


def test_a_file_that_lies_there_is_not_written_over(folder: Path, table: bytes) -> None:
    (folder / "rules.one-3.yaml").write_text("mine\n")
    ran(folder, "optimise", "apply", "one", "--trial", "3", exits=3)
    assert (folder / "rules.one-3.yaml").read_text() == "mine\n"
    ran(folder, "optimise", "apply", "one", "--trial", "99", exits=2)


def hear_ctrl_c() -> None:
    """As at a terminal: whatever is begun in the background of a shell ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_says_how_to_go_on_and_leaves_no_worker(folder: Path) -> None:
    arguments = command(*SEARCH, "--study", "stopped", "--workers", "2", "--json")
    with subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    ) as client:
        until_first_variant(client)
        workers = workers_of(client.pid)
        client.send_signal(signal.SIGINT)
        assert client.stderr is not None
        assert "the same command goes on from here" in client.stderr.read()
        assert client.wait(60) == 130
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]


def test_doubled_costs_are_a_backtest_with_doubled_costs(folder: Path, table: bytes) -> None:
    found = document(folder, "optimise", "show", "one")
    before, heading, simulation = (ROOT / "config.yaml").read_text("utf-8").partition("\nsimulation:\n")
    for name, once, twice in (
        ("maker_fee_pct", "0.02", "0.04"), ("taker_fee_pct", "0.05", "0.10"), ("slippage_pct", "0.02", "0.04"),
    ):  # fmt: skip
        assert f"  {name}: {once} " in simulation
        simulation = simulation.replace(f"  {name}: {once} ", f"  {name}: {twice} ")
    text = before + heading + simulation
    (folder / "dear.yaml").write_text(text, encoding="utf-8")
    values = found["in_sample"]["values"]
    rules = (ROOT / "rules.yaml").read_text("utf-8").replace("adx_trend: 25 ", f"adx_trend: {values['adx_trend']} ")
    rules = rules.replace("stop_atr_min: 2.0 ", f"stop_atr_min: {values['stop_atr_min']} ")
    (folder / "best.yaml").write_text(rules, encoding="utf-8")
    by_hand = document(folder, "backtest", "--config", "dear.yaml", "--rules", "best.yaml", *SPAN)
    dear = found["honesty"]["costs_doubled"]
    assert dear == {name: by_hand[name] for name in dear}
    assert dear["fees_usdt"] > 1.5 * found["in_sample"]["figures"]["fees_usdt"]


@pytest.mark.slow
def test_variants_are_counted_over_all_studies_on_the_same_data(folder: Path, tmp_path: Path) -> None:
    for name in ("config.yaml", "rules.yaml"):
        shutil.copy(folder / name, tmp_path / name)
    quick = ("--folds", "0", "--luck", "0", "--workers", "1")

    def tried(study: str, vary: str, symbol: str) -> int:
        span = ("--symbols", symbol, "--from", "2024-09-01", "--to", "2024-09-30")
        found = document(tmp_path, "optimise", *span, "--vary", vary, "--study", study, *quick)
        return int(found["honesty"]["variants_tried"])

    assert tried("a", "adx_trend=26..27:1", "BTCUSDT") == 3, "two, and the rules as they are"
    assert tried("b", "adx_trend=27..28:1", "BTCUSDT") == 4, "27 is the same variant"
    (tmp_path / "var/studies/a.sqlite").unlink()
    assert tried("c", "spike=1.3..1.4:0.1", "BTCUSDT") == 5, "a study that is gone still counts"
    assert tried("d", "spike=1.3..1.4:0.1", "ETHUSDT") == 2, "other data"
    arguments = ("--symbols", "BTCUSDT", "--from", "2024-09-01", "--to", "2024-09-30", "--vary", "adx_trend=35..39:1")
    with subprocess.Popen(
        command("optimise", *arguments, "--study", "given-up", *quick, "--json"),
        cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as client:  # fmt: skip
        until_first_variant(client)
        client.kill()
    assert tried("e", "spike=1.3..1.4:0.1", "BTCUSDT") > 5, "a search that was given up has had its chances, too"


LEARNING = (
    "optimise", "--symbols", "BTCUSDT", "--from", "2024-09-01", "--to", "2024-10-31", "--vary", "adx_trend=23..40:1",
    "--vary", "spike=1.2..1.6", "--sampler", "optuna", "--trials", "13", "--folds", "1", "--test", "15",
    "--train", "30", "--luck", "0",
)  # fmt: skip


@pytest.mark.slow
def test_a_sampler_that_learns_goes_on_as_if_it_had_never_been_interrupted(folder: Path) -> None:
    """Batches are told in the order of trials: the same on any number of workers, and no point twice."""
    ran(folder, *LEARNING, "--study", "learning", "--workers", "2", "--csv", "learning.csv")
    arguments = command(*LEARNING, "--study", "again", "--workers", "1", "--json")
    with subprocess.Popen(
        arguments, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as client:
        until_first_variant(client)
        client.kill()
    ran(folder, *LEARNING, "--study", "again", "--workers", "1", "--csv", "again.csv")
    assert (folder / "again.csv").read_bytes() == (folder / "learning.csv").read_bytes()
    rows = document(folder, "optimise", "show", "again")["table"][1:]
    for span in ("whole", "train-1"):
        points = [tuple(row["values"].values()) for row in rows if row["searched_in"] == [span]]
        assert len(points) == 13
        assert len(set(points)) == 13


@pytest.mark.parametrize(
    ("library", "option", "value"), [("optuna", "--sampler", "optuna"), ("distributed", "--scheduler", "tcp://here:1")]
)
def test_what_needs_an_extra_says_which(library: str, option: str, value: str) -> None:
    """As it is after a plain install, which has neither."""
    arguments = [
        "optimise",
        "--vary",
        "adx_trend=25..26:1",
        "--symbols",
        "BTCUSDT",
        "--from",
        "2025-06-01",
        option,
        value,
    ]
    code = f"import sys\nsys.modules[{library!r}] = None\nfrom fsm.cli.app import app\napp({arguments!r})"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert f"{option} " in ended.stderr
    assert f"needs {library}, which is not installed" in ended.stderr
    assert "pip install 'fsm-futures-bot[" in ended.stderr
