"""What it takes to run by itself: units of systemd, dashboards, health, and containers that do not go in circles."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from fsm.cli import health
from fsm.cli.app import app
from fsm.cli.errors import CommandError
from store.batch import Batch
from store.database import open_store
from store.journal import Journal
from store.lock import lock_path
from store.rows import DocumentRow
from tests.programs import needs_promtool, needs_systemd
from tests.unit.store.conftest import START, Story
from web.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
OPERATING = ROOT / "docs" / "operating"
UNITS = sorted([*OPERATING.glob("*.service"), *OPERATING.glob("*.timer")])
DASHBOARD = json.loads((OPERATING / "grafana" / "dashboards" / "trading-bot.json").read_text("utf-8"))
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
PATIENCE_S = 120.0


class TestUnits:
    def test_every_command_of_a_unit_is_one_that_the_program_takes(self) -> None:
        commands = [line for unit in UNITS for line in re.findall(r"(?m)^ExecStart=(.+)$", unit.read_text("utf-8"))]
        assert len(commands) == 3
        for line in commands:
            words = shlex.split(line)[3:]
            parsed: Any = app
            while hasattr(parsed, "commands"):
                parsed = parsed.get_command(click.Context(parsed), words.pop(0))
            parsed.make_context("it", words).close()

    @needs_systemd
    @pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
    def test_systemd_itself_takes_the_units(self, unit: Path, tmp_path: Path) -> None:
        for each in UNITS:
            text = each.read_text("utf-8").replace("/opt/fsm/.venv/bin/python", sys.executable)
            (tmp_path / each.name).write_text(text, "utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", str(tmp_path / unit.name)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr.strip()

    @needs_systemd
    def test_the_bot_sees_little_of_the_machine(self) -> None:
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(OPERATING / "fsm.service")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]

    def test_a_bot_that_its_health_check_ends_is_started_again(self) -> None:
        """A bot that still hears SIGTERM ends in order, with 0: what begins again after faults alone would leave it."""
        text = (OPERATING / "fsm.service").read_text("utf-8")
        assert "Restart=always" in text
        assert "StartLimitIntervalSec=0" in text

    def test_every_folder_that_a_unit_needs_is_made_by_the_page_or_by_systemd(self) -> None:
        page = (ROOT / "docs" / "operating.md").read_text("utf-8")
        for unit in UNITS:
            for place in re.findall(r"(?m)^ReadWritePaths=(.+)$", unit.read_text("utf-8")):
                for folder in set(place.split()) - {"/var/lib/fsm"}:  # StateDirectory of fsm.service
                    assert re.search(rf"(?m)^install -d .*{folder}\b", page), folder

    def test_what_only_a_person_can_mend_is_not_started_again_and_no_secret_is_in_a_unit(self) -> None:
        text = (OPERATING / "fsm.service").read_text("utf-8")
        assert "RestartPreventExitStatus=2 3" in text
        assert not re.search(r"(?m)^Environment=.*(KEY|SECRET|TOKEN)=", text)
        assert set(re.findall(r"LoadCredential=(\w+)", text)) == {"api_key", "api_secret", "dashboard_token"}


class TestDashboard:
    def test_panels_speak_only_of_metrics_and_labels_that_there_are(self) -> None:
        assert len(EXPRESSIONS) > 20
        for expression in EXPRESSIONS:
            found = re.findall(r"(fsm_\w+)(?:\{([^}]*)\})?", expression)
            assert found, expression
            for name, selector in found:
                meter = CATALOGUE[re.sub(r"_(total|bucket)$", "", name)]
                assert name.endswith("_total") == (meter.kind == "counter")
                assert set(re.findall(r"(\w+)=", selector)) <= set(meter.labels)

    def test_legends_and_groupings_name_labels_of_their_metric(self) -> None:
        for panel in DASHBOARD["panels"]:
            for target in panel["targets"]:
                (name, *_) = re.findall(r"fsm_\w+", target["expr"])
                labels = {*CATALOGUE[re.sub(r"_(total|bucket)$", "", name)].labels, "le"}
                assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels
                assert set(re.findall(r"by \((\w+)\)", target["expr"])) <= labels

    def test_panels_do_not_lie_upon_one_another(self) -> None:
        taken: set[tuple[int, int]] = set()
        for panel in DASHBOARD["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not taken & cells, panel["title"]
            assert place["x"] + place["w"] <= 24
            taken |= cells

    @needs_promtool
    def test_prometheus_itself_reads_every_expression(self, tmp_path: Path) -> None:
        rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(EXPRESSIONS)]
        (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
        done = subprocess.run(
            ["promtool", "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    @needs_promtool
    def test_prometheus_itself_takes_its_file(self, tmp_path: Path) -> None:
        text = (OPERATING / "prometheus.yml").read_text("utf-8")
        (tmp_path / "token").write_text("a-token-that-nobody-guesses")
        text = text.replace("/run/secrets/dashboard_token", str(tmp_path / "token"))
        text = text.replace("/etc/prometheus/alert-rules.yml", str(ROOT / "docs" / "alert-rules.yml"))
        (tmp_path / "prometheus.yml").write_text(text)
        done = subprocess.run(
            ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


HOLDING = """
import signal, sys
from pathlib import Path
from store.lock import ProcessLock
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with ProcessLock(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


@contextmanager
def holder(path: Path, kind: str = "hears", *, since_s: float = 0) -> Iterator[subprocess.Popen[str]]:
    """A process that has had the database's lock for so long, as a bot that hangs has it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path), kind],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    began_s = time.time() - since_s
    os.utime(lock_path(path), (began_s, began_s))
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class TestHealth:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """A database with one position that is covered, and one that waits for its stop."""
        path = tmp_path / "bot.sqlite"
        with open_store(path, mode="write", at_ms=START) as store:
            journal, story = Journal(store, "run-1"), Story()
            for row in story.round_trip("BTCUSDT", 1, START)[:4]:
                journal.commit(Batch(transitions=[row]))
        return path

    def left(self, path: Path, *, pulse_s: float = 1, stop_s: float | None = 1, answer_s: float = 5) -> None:
        """A pulse so old, in which the stop was seen so long before, and the exchange had told the account's equity."""
        now_ms = time.time_ns() // 1_000_000
        stops = {} if stop_s is None else {"BTCUSDT": {"verified_wall_ms": now_ms - round(stop_s * 1000)}}
        pulse = {"wall_ms": now_ms - round(pulse_s * 1000), "stops": stops, "equity_age_ms": round(answer_s * 1000)}
        row = DocumentRow(name="health", at_ms=START, body_json=json.dumps(pulse))
        with open_store(path, mode="write") as store:
            Journal(store, "run-2").commit(Batch(documents=[row]))

    def judged(self, path: Path) -> str | None:
        found = health.fault(path, now_ms=time.time_ns() // 1_000_000)
        return found and found.code

    def test_a_bot_that_sees_its_stops_is_healthy(self, path: Path) -> None:
        self.left(path)
        with holder(path, since_s=60):
            assert self.judged(path) is None
        assert self.judged(path) == "NOT_RUNNING"

    def test_a_pulse_alone_is_not_enough(self, path: Path) -> None:
        with holder(path, since_s=61):
            assert self.judged(path) == "NO_PULSE"
            self.left(path, pulse_s=61)
            assert self.judged(path) == "NO_PULSE"
            self.left(path, stop_s=121)
            assert self.judged(path) == "STOP_NOT_SEEN"
            self.left(path, stop_s=None)
            assert self.judged(path) == "STOP_NOT_SEEN"

    def test_a_position_without_a_stop_is_not_protected(self, path: Path) -> None:
        with open_store(path, mode="write") as store:
            journal, story = Journal(store, "run-1"), Story()
            for row in story.round_trip("ETHUSDT", 1, START)[:3]:
                journal.commit(Batch(transitions=[row]))
        self.left(path)
        with holder(path, since_s=60):
            assert self.judged(path) == "NO_STOP"

    def test_a_bot_that_hangs_is_ended_and_a_young_fault_ends_nothing(self, path: Path) -> None:
        with holder(path, since_s=300) as process:
            self.left(path, pulse_s=100)
            self.spared(path, process, "its last pulse")
            self.left(path, pulse_s=200)
            with pytest.raises(CommandError, match=f"process {process.pid} was ended"):
                health.require_protecting(path, end_after_s=180)
            assert process.wait(PATIENCE_S) == -signal.SIGTERM

    def spared(self, path: Path, process: subprocess.Popen[str], why: str) -> None:
        """It is not healthy, and not ended."""
        with pytest.raises(CommandError, match=why):
            health.require_protecting(path, end_after_s=180)
        assert process.poll() is None

    def test_a_start_is_not_ended_for_the_pulse_of_the_bot_before(self, path: Path) -> None:
        """A machine that was off for an hour, or a bot that a person had stopped."""
        self.left(path, pulse_s=3_600, stop_s=3_600)
        with holder(path, since_s=20) as process:
            self.spared(path, process, "is starting")

    def test_a_start_that_waits_for_its_exchange_is_not_ended_and_one_that_hangs_is(self, path: Path) -> None:
        self.left(path, pulse_s=3_600, stop_s=3_600)
        with holder(path, since_s=50) as process:
            self.spared(path, process, "is starting")
        with holder(path, since_s=200) as process:
            with pytest.raises(CommandError, match=f"process {process.pid} was ended"):
                health.require_protecting(path, end_after_s=180)
            assert process.wait(PATIENCE_S) == -signal.SIGTERM

    def test_a_bot_whose_exchange_does_not_answer_is_not_ended_and_one_that_does_not_look_is(self, path: Path) -> None:
        with holder(path, since_s=1_800) as process:
            self.left(path, stop_s=300, answer_s=300)
            self.spared(path, process, "was last read back")
            self.left(path, stop_s=300, answer_s=10)
            with pytest.raises(CommandError, match=f"process {process.pid} was ended"):
                health.require_protecting(path, end_after_s=180)
            assert process.wait(PATIENCE_S) == -signal.SIGTERM

    def test_one_that_does_not_hear_is_killed(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "GRACE_S", 0.5)
        with holder(path, "deaf", since_s=300) as process:
            self.left(path, pulse_s=200)
            with pytest.raises(CommandError, match="did not end and was killed"):
                health.require_protecting(path, end_after_s=180)
            assert process.wait(PATIENCE_S) == -signal.SIGKILL


class TestHeld:
    def started(self, folder: Path, *words: str) -> subprocess.Popen[str]:
        environment = {key: text for key, text in os.environ.items() if not key.startswith(("BINANCE_", "DASHBOARD_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "fsm.cli.held", *words],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_a_mistake_in_a_file_is_said_once_and_ends_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "config.yaml").write_text("symbols: [nonsense\n")
        shutil.copy(ROOT / "rules.yaml", tmp_path)
        process = self.started(tmp_path, "run", "--no-web")
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("not started again"):
                break
        assert any("config.yaml:" in line for line in lines)
        assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE_S) == 2
        process.communicate()

    def test_whatever_else_ends_the_bot_ends_it_too(self, tmp_path: Path) -> None:
        process = self.started(tmp_path, "--version")
        assert process.communicate(timeout=PATIENCE_S)[0].strip()
        assert process.returncode == 0

    def test_a_signal_reaches_the_bot(self, tmp_path: Path) -> None:
        """Told to end, it ends the command that runs, and with its code."""
        process = self.started(tmp_path, "db", "backup", "copies", "--every", "1h", "--db", "missing.sqlite")
        assert process.stderr is not None
        assert "no copy this time" in process.stderr.readline()
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
