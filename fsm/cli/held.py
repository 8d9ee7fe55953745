"""``python -m fsm.cli.held ARGUMENTS``: the bot in a container, which is not begun again where that cannot help.

A container that ends is started again, whatever it ended with. A file with a mistake in it, or a key of the wrong
account, would end the bot for ever: so this process stays until it is told to end, says once what is to be done, and is
not healthy meanwhile. Whatever else ends the bot ends this process in the same way, and the bot is started again.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from types import FrameType

REFUSED = (2, 3)
"""Exit codes after which only a person can help: files, and what a start refuses."""
HINT = "not started again: mend it, then start it again (docker compose restart bot)"


def main(arguments: list[str]) -> int:
    bot: subprocess.Popen[bytes] | None = None
    told: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        del frame
        told.append(number)
        if bot is not None:
            bot.send_signal(number)

    for number in _ENDS:
        signal.signal(number, hand_on)
    bot = subprocess.Popen([sys.executable, "-m", "fsm", *arguments])  # noqa: S603 - our own command
    for early in told:
        bot.send_signal(early)
    code = bot.wait()
    if code not in REFUSED:
        return code if code >= 0 else 128 - code
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # from here on one that comes is waited for, and not lost
    if not told:
        sys.stderr.write(f"{HINT}\n")
        sys.stderr.flush()
        signal.sigwait(_ENDS)
    return code


_ENDS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
