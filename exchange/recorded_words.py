"""An exchange's own numbers and words, as rows of journals hold them that are older than words of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from exchange.origin import Stated
from exchange.refusals import RefusalReason


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedWords:
    """How the client of the exchange that wrote them reads them."""

    reason_of: Callable[[int | str], RefusalReason]
    origin_of: Callable[[str], Stated]
    """Of an order, by its client id."""
    origin_at_first: Callable[[str], Stated]
    """The same, as the first edition of the machine told it."""


def _unread(client_id: str) -> Stated:
    del client_id
    return msgspec.UNSET


UNREAD = RecordedWords(reason_of=lambda code: RefusalReason.UNSTATED, origin_of=_unread, origin_at_first=_unread)
"""For journals of this version, which say everything themselves."""
