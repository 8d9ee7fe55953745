"""How to call this program again from here, for commands that are printed to be pasted."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def invocation(*, anywhere: bool = False) -> str:
    """``python -m fsm`` with the interpreter that runs now, written as short as it works from the working directory,
    or from any other one."""
    interpreter = Path(sys.executable)
    found = shutil.which("python")
    if found is not None and Path(found) == interpreter:
        return "python -m fsm"
    here = Path.cwd()
    if interpreter.is_relative_to(here) and not anywhere:
        interpreter = interpreter.relative_to(here)
    return f"{shlex.quote(str(interpreter))} -m fsm"
