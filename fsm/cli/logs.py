"""Logs of the command line, always on stderr: readable on a terminal, one JSON object a line everywhere else."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import Processor


def configure_logs(*, json: bool, quiet: bool = False) -> None:
    """Set up the process's logs. ``json`` asks for JSON lines on a terminal as well, ``quiet`` for errors alone."""
    import structlog

    readable = not json and sys.stderr.isatty()
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if readable:
        processors.append(structlog.dev.ConsoleRenderer())
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger("error" if quiet else "info"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    root = logging.getLogger()
    if not any(isinstance(handler, _Passing) for handler in root.handlers):
        root.addHandler(_Passing(logging.WARNING))


class _Passing(logging.Handler):
    """Passes on what libraries, and our rooms below this one, say with Python's own logging: in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        import structlog

        try:
            text, failure = record.getMessage(), record.exc_info or None
            structlog.get_logger().log(record.levelno, record.name, reason="TOLD", text=text, exc_info=failure)
        except Exception:
            self.handleError(record)
