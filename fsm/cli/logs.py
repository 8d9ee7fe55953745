"""Logs of the command line, always on stderr: readable on a terminal, one JSON object a line everywhere else.

Every line has a stable event name, a reason and, where there is one, the environment.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger


def configure_logs(*, json: bool, level: str | None = None, environment: str | None = None) -> None:
    """Set up the process's logs. ``json`` asks for JSON lines on a terminal as well; without ``level`` a terminal shows
    warnings (what happens is told there in words) and everything else shows all."""
    import structlog

    readable = not json and sys.stderr.isatty()
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with(environment, readable),
    ]
    if readable:
        # In plain text: rich would take half a second of trading's loop for a traceback, and show what variables hold.
        processors.append(structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback))
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[_rendered(processors)],
        wrapper_class=structlog.make_filtering_bound_logger(level or ("warning" if readable else "info")),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    _pass_on(_Passing(logging.WARNING))


def pass_on_logs(*, json: bool) -> None:
    """As ``configure_logs``, for work that logs nothing itself: nothing is set up before a library says something."""
    _pass_on(_PassingLate(json))


def _pass_on(handler: logging.Handler) -> None:
    """The newest alone: one left by what ran before in this process would set the logs up as that needed them."""
    root = logging.getLogger()
    root.handlers = [known for known in root.handlers if not isinstance(known, _Passing)]
    root.addHandler(handler)


def _rendered(processors: list[Processor]) -> Processor:
    """One line out of an event, whatever is in it: a line that cannot be made must not end what it is about."""

    def rendered(logger: WrappedLogger, method: str, event: EventDict) -> Any:
        import structlog

        made: Any = dict(event)
        try:
            for processor in processors:
                made = processor(logger, method, made)
        except structlog.DropEvent:
            raise
        except Exception as error:
            return f'{{"event": "log_failed", "reason": "{type(error).__name__}", "level": "{method}"}}'
        return made

    return rendered


def _with(environment: str | None, readable: bool) -> Processor:
    """Marks every line with the environment it is about; on a terminal in the line's own text."""

    def marked(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        if environment is None:
            return event
        event["environment"] = environment
        if readable and environment.isupper():
            event["event"] = f"{environment} {event['event']}"
        return event

    return marked


class _Passing(logging.Handler):
    """Passes on what libraries, and our rooms below this one, say with Python's own logging: in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        import structlog

        try:
            text, failure = record.getMessage(), record.exc_info or None
            structlog.get_logger().log(record.levelno, record.name, reason="TOLD", text=text, exc_info=failure)
        except Exception:
            self.handleError(record)


class _PassingLate(_Passing):
    """The same, setting up what it needs when it is needed."""

    def __init__(self, json: bool) -> None:
        super().__init__(logging.WARNING)
        self._json = json

    def emit(self, record: logging.LogRecord) -> None:
        configure_logs(json=self._json)
        super().emit(record)
