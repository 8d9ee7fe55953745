"""The box it ships in: what the image installs is enough, its commands are the ones run here, its API has no keys."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
TOKEN = "a-token-that-nobody-guesses-9Z"


def instructions(name: str) -> list[str]:
    """The arguments of every instruction of a kind, lines joined."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return re.findall(rf"(?m)^{name} (.+)$", joined)


def compose_client() -> list[str] | None:
    """The command of docker compose, where this machine has one. It needs no engine to read a file."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]):
            done = subprocess.run([*words, "version"], capture_output=True, check=False)
            if done.returncode == 0:
                return words
    return None


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image holds, without the image: an installation from nothing but what the Dockerfile copies."""
    source, installed = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("venv")
    for line in instructions("COPY"):
        if line.startswith("--from"):
            continue
        *names, target = line.split()
        for name in names:
            place = source / (Path(target).name if (ROOT / name).is_dir() else name)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, place)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", installed, "."],
        cwd=source,
        check=True,
        capture_output=True,
    )
    return installed


class Container:
    """A service of docker-compose.yml as a process here: its command and its environment, its paths moved."""

    def __init__(self, folder: Path, image: Path, port: int) -> None:
        self.folder = folder
        self.image = image
        self.port = port

    def words(self, command: list[str]) -> list[str]:
        """The command with what a container gives replaced: its Python, its folders, its addresses, its port."""
        given = {"python": sys.executable, "0.0.0.0": "127.0.0.1", "8080": str(self.port)}
        moved = [given.get(word, word.replace("/settings", str(self.folder))) for word in command]
        return [word.replace(":8080/", f":{self.port}/") for word in moved]

    def environment(self, own: dict[str, str]) -> dict[str, str]:
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        return {**inherited, "PYTHONPATH": str(self.image), "PYTHONUNBUFFERED": "1", **own}

    @contextmanager
    def running(self, service: str, own: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / f"{service}.log").open("wb") as log:
            process = subprocess.Popen(
                self.words(SERVICES[service]["command"]),
                cwd=self.folder,
                env=self.environment(own),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE_S)

    def is_healthy(self, service: str, own: dict[str, str]) -> bool:
        kind, *command = SERVICES[service]["healthcheck"]["test"]
        assert kind == "CMD"
        done = subprocess.run(
            self.words(command), cwd=self.folder, env=self.environment(own), capture_output=True, check=False
        )
        return done.returncode == 0


def wait_for(what: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    until, waiting = time.monotonic() + PATIENCE_S, threading.Event()
    while not what():  # each look is a process of its own, so there is no hurry
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        waiting.wait(1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.slow
def test_bot_and_api_run_with_the_commands_of_the_box_from_what_the_image_installs(image: Path, tmp_path: Path) -> None:
    """The embedded exchange stands in for the one in .env; everything else is as in docker-compose.yml."""
    shutil.copy(ROOT / "rules.yaml", tmp_path)
    (tmp_path / "config.yaml").write_text("version: 1\nsymbols: {BTCUSDT: {}}\n")
    box = Container(tmp_path, image, free_port())
    bot_env = {"BINANCE_ENV": "sim", "DASHBOARD_TOKEN": TOKEN}
    api_env = {"BINANCE_ENV": "sim", "DASHBOARD_TOKEN": TOKEN}
    assert api_env.keys() == SERVICES["api"]["environment"].keys()
    with box.running("bot", bot_env) as bot:
        wait_for(lambda: box.is_healthy("bot", bot_env), bot, tmp_path / "bot.log")
        with box.running("api", api_env) as api:
            wait_for(lambda: box.is_healthy("api", api_env), api, tmp_path / "api.log")
            request = urllib.request.Request(
                f"http://127.0.0.1:{box.port}/api/summary", headers={"Authorization": f"Bearer {TOKEN}"}
            )
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                assert json.load(answer)["environment"] == "sim"
        assert not box.is_healthy("api", api_env), "a health check that cannot fail says nothing"
    assert bot.returncode == 0
    assert not box.is_healthy("bot", bot_env)


def test_the_image_copies_every_room_and_every_file_that_installing_reads() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    rooms = {name.strip("*") for name in parser["options.packages.find"]["include"].split()}
    copied = {word for line in instructions("COPY") if not line.startswith("--from") for word in line.split()[:-1]}
    assert rooms <= copied
    assert {"setup.cfg", "pyproject.toml", "requirements.lock", "README.md", "LICENSE", "config.yaml"} <= copied
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert allowed == copied


def test_the_image_has_two_stages_and_does_not_run_as_root() -> None:
    assert len(instructions("FROM")) == 2
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"(?m)^USER bot$", last)
    assert "pip" not in last
    assert instructions("HEALTHCHECK")


def test_what_the_image_runs_by_itself_is_the_daemon_and_its_health_check_the_bots() -> None:
    assert json.loads(instructions("CMD")[-1]) == ["python", "-m", "fsm.cli.held", "run"]
    command = json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2])
    assert command == SERVICES["bot"]["healthcheck"]["test"][1:]


def test_the_api_has_no_key_and_both_share_one_volume() -> None:
    api, bot = SERVICES["api"], SERVICES["bot"]
    assert set(api["environment"]) == {"BINANCE_ENV", "DASHBOARD_TOKEN"}
    assert bot["environment"] == api["environment"], "both read the same, whatever the shell says"
    assert "env_file" not in api
    assert bot["env_file"] == ".env"
    assert "data:/data/var" in api["volumes"]
    assert "data:/data/var" in bot["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in api["ports"])
    for service in SERVICES.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_of_this_folder_the_bot_sees_the_two_yaml_files_alone() -> None:
    bound = [volume for volume in SERVICES["bot"]["volumes"] if isinstance(volume, dict)]
    assert [(volume["source"], volume["read_only"]) for volume in bound] == [("./settings", True)]
    assert not bound[0]["bind"]["create_host_path"], "a missing folder must be told, and not made empty"
    named = [volume for name in ("bot", "api", "backup") for volume in SERVICES[name]["volumes"]]
    assert all(volume.partition(":")[0] in COMPOSE["volumes"] for volume in named if isinstance(volume, str))


@pytest.mark.skipif(compose_client() is None, reason="no docker compose here")
def test_compose_itself_accepts_the_file(tmp_path: Path) -> None:
    client = compose_client()
    assert client is not None
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    example = (ROOT / ".env.example").read_text("utf-8")
    (tmp_path / ".env").write_text(
        example.replace("DASHBOARD_TOKEN=\n", f"DASHBOARD_TOKEN={TOKEN}\n").replace(
            "BINANCE_API_KEY=\n", "BINANCE_API_KEY=planted-key\n"
        )
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("BINANCE_", "DASHBOARD_", "TG_"))}
    done = subprocess.run([*client, "config"], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)["services"]
    assert "planted-key" in json.dumps(found["bot"])
    assert "planted-key" not in json.dumps(found["api"])
    (tmp_path / ".env").write_text(example)
    refused = subprocess.run([*client, "config"], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert refused.returncode != 0, "without a token the API must not start"
    assert "16 characters" in refused.stderr
