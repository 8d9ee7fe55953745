"""Upgrades of a database that die before a chosen statement, as by ``kill -9``.

One process imports once and forks: ``python -m tests.integration.dying_upgrade`` reads ``NUMBER PATH`` from each line
of its input (-1: let it live), and answers each with ``EXIT_CODE STATEMENTS``, the statements of one that came through.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw

from store.migrations import upgrade

ROOT = Path(__file__).parents[2]
LIVES = -1


class DyingUpgrade:
    """The process that forks."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.dying_upgrade"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    def upgrade(self, path: Path, *, dies_before: int) -> int | None:
        """One child upgrades this file. How many statements it took, None where it died before that one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(dies_before, path, file=self._process.stdin, flush=True)
        code, count = map(int, self._process.stdout.readline().split())
        assert code in (0, -signal.SIGKILL)
        return count if code == 0 else None


def _child(number: int, path: Path, answer: int) -> None:
    seen = 0

    def trace(cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        nonlocal seen
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1
        return True

    apsw.connection_hooks.append(lambda connection: setattr(connection, "exec_trace", trace))
    upgrade(path, at_ms=7)
    os.write(answer, str(seen).encode())


def main() -> None:
    for line in sys.stdin:
        number, path = line.rstrip("\n").split(" ", 1)
        heard, answer = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _child(int(number), Path(path), answer)
                code = 0
            finally:
                os._exit(code)
        os.close(answer)
        _, status = os.waitpid(child, 0)
        count = os.read(heard, 20) or b"0"
        os.close(heard)
        print(os.waitstatus_to_exitcode(status), count.decode(), flush=True)


if __name__ == "__main__":
    main()
