"""An exchange's own numbers and words, as rows of journals hold them that are older than words of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.refusals import RefusalReason


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedWords:
    """How the client of the exchange that wrote them reads them."""

    reason_of: Callable[[int | str], RefusalReason]


UNREAD = RecordedWords(reason_of=lambda code: RefusalReason.UNSTATED)
"""For journals of this version, which say everything themselves."""
