"""A search on a Dask cluster of separate processes: the same table, through workers that are killed and that join."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEARCH = (
    "optimise", "--symbols", "BTCUSDT", "--from", "2024-09-01", "--to", "2024-11-30", "--vary", "adx_trend=25..31:2",
    "--folds", "1", "--test", "20", "--train", "40", "--luck", "1", "--json",
)  # fmt: skip
ENVIRONMENT = {
    **os.environ, "PYTHONPATH": str(ROOT), "BINANCE_ENV": "sim", "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False",
}  # fmt: skip
SECONDS = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cluster")
    for name in ("config.yaml", "rules.yaml"):
        shutil.copy(ROOT / name, made / name)
    return made


@pytest.fixture(scope="module")
def table(folder: Path) -> bytes:
    subprocess.run(
        [sys.executable, "-m", "fsm", *SEARCH, "--study", "here", "--workers", "1", "--csv", "here.csv"],
        cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, timeout=SECONDS,
    )  # fmt: skip
    return (folder / "here.csv").read_bytes()


@contextmanager
def running(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of a cluster, which has said that it is there."""
    with subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=cwd, env=ENVIRONMENT, text=True, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        try:
            yield process
        finally:
            process.kill()
            process.stderr.close()


def said(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    return next(line for line in process.stderr if words in line)


@pytest.fixture(scope="module")
def scheduler(folder: Path) -> Iterator[str]:
    arguments = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    with running(*arguments, cwd=folder) as process:
        yield said(process, "Scheduler at:").split()[-1]


def worker(scheduler: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """In a folder in which no file of the search lies."""
    cwd.mkdir(exist_ok=True)
    arguments = (
        "distributed.cli.dask_worker", scheduler, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny",
        "--no-dashboard", "--local-directory", str(cwd), "--memory-limit", "0",
    )  # fmt: skip
    with running(*arguments, cwd=cwd) as process:
        said(process, "Registered to:")
        yield process


joined = contextmanager(worker)


@contextmanager
def searching(folder: Path, scheduler: str, study: str) -> Iterator[subprocess.Popen[str]]:
    arguments = ("--study", study, "--scheduler", scheduler, "--csv", f"{study}.csv")
    with subprocess.Popen(
        [sys.executable, "-m", "fsm", *SEARCH, *arguments],
        cwd=folder, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as client:  # fmt: skip
        yield client


def until_first_variant(client: subprocess.Popen[str]) -> None:
    assert client.stderr is not None
    told = []
    for line in client.stderr:
        told.append(line)
        if '"reason":"BEST"' in line:
            return
    raise AssertionError("".join(told))


def ended(client: subprocess.Popen[str]) -> int:
    _, told = client.communicate(timeout=SECONDS)
    assert client.returncode == 0, told
    return client.returncode


@pytest.mark.slow
def test_two_workers_that_are_killed_and_one_that_joins_give_the_same_table(
    folder: Path, table: bytes, scheduler: str, tmp_path: Path
) -> None:
    with (
        joined(scheduler, tmp_path / "one") as one,
        joined(scheduler, tmp_path / "two") as two,
        searching(folder, scheduler, "killed") as client,
    ):
        until_first_variant(client)
        one.send_signal(signal.SIGKILL)
        two.send_signal(signal.SIGKILL)
        with joined(scheduler, tmp_path / "three"):
            ended(client)
    assert (folder / "killed.csv").read_bytes() == table


@pytest.mark.slow
def test_a_client_that_is_killed_goes_on_where_it_was(
    folder: Path, table: bytes, scheduler: str, tmp_path: Path
) -> None:
    with joined(scheduler, tmp_path / "one"):
        with searching(folder, scheduler, "resumed") as client:
            until_first_variant(client)
            client.kill()
        with searching(folder, scheduler, "resumed") as client:
            ended(client)
    assert (folder / "resumed.csv").read_bytes() == table


def test_a_scheduler_that_does_not_answer_is_told(folder: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "fsm", *SEARCH, "--study", "none", "--scheduler", "tcp://127.0.0.1:1"],
        cwd=folder, env=ENVIRONMENT, check=False, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert found.returncode == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in json.loads(found.stdout)["error"]["message"]
