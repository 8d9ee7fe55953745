"""TAB is pressed in real shells, and words are misspelt there: what they say is what a person at the keyboard sees."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
SHELLS = {
    "bash": (["bash", "--norc", "-i"], 'eval "$(fsm completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -Uz compinit; compinit -u; eval "$(fsm completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "fsm completion fish | source"),
}
HERE = [shell for shell in SHELLS if shutil.which(shell)]
"""bash is everywhere; `.ci/run` brings the others."""


class Keyboard:
    """A shell at a terminal."""

    def __init__(self, shell: str, folder: Path) -> None:
        command, self._setup = SHELLS[shell]
        program = folder / "bin" / "fsm"
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable}\nfrom fsm.__main__ import main\nmain()\n")
        program.chmod(0o755)
        environment = {
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        self._heard = ""

    def ready(self) -> None:
        """Completion is set up as the command itself says."""
        self.type(f'{self._setup}; echo rea""dy\n', until="ready")

    def type(self, keys: str, *, until: str) -> None:
        """Press these keys and wait for this text on the screen."""
        os.write(self._terminal, keys.encode())
        deadline_s, self._heard = time.monotonic() + PATIENCE_S, ""
        while until not in self._heard:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([self._terminal], [], [], left_s)[0]:
                raise AssertionError(f"{until!r} never came: {self._heard[-500:]!r}")
            self._heard += os.read(self._terminal, 65_536).decode(errors="replace")

    def leave(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)


@pytest.fixture(params=HERE)
def keyboard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Keyboard]:
    found = Keyboard(request.param, tmp_path)
    try:
        found.ready()
        yield found
    finally:
        found.leave()


def test_tab_completes_commands_verbs_and_options(keyboard: Keyboard) -> None:
    """The line is run as it was completed: what TAB left out would be an unknown word."""
    keyboard.type("fsm back\t--help\n", until="Usage: fsm backtest")
    keyboard.type("fsm rules sche\t--help\n", until="Usage: fsm rules schema")
    keyboard.type("fsm trades --li\t1 --help\n", until="Usage: fsm trades")


def test_tab_completes_symbols(keyboard: Keyboard) -> None:
    """There is no database yet: those of config.yaml."""
    keyboard.type("fsm init\n", until="What to do next")
    keyboard.type("echo fsm; fsm why DOG\t\n", until="DOGEUSDT")


def test_a_misspelt_word_is_answered_with_the_one_that_was_meant(keyboard: Keyboard) -> None:
    keyboard.type("fsm stauts\n", until="Did you mean 'status'?")


def test_in_an_empty_folder_it_says_how_to_begin(keyboard: Keyboard) -> None:
    keyboard.type("fsm check\n", until="`fsm init` writes config.yaml and rules.yaml to begin with")
