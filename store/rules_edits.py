"""Rules as the inbox carries them: an edit with the hash that it was made from, and a question what they would do."""

from __future__ import annotations

import base64
import binascii
import zlib

KIND = "rules edit"
WHAT_IF = "job what-if"
"""Followed by the hash of the rules that are asked about, and their text. A worker takes jobs, no bot ever does."""

JOBS = "job "
TEXT_MAX = 200_000
"""Characters of a rules file that is edited in this way; the shipped one has 30,000."""


def line_of(based_on: str, text: str) -> str:
    """An edit as the inbox keeps it."""
    return f"{KIND} {based_on} {_packed(text)}"


def job_of(rules_hash: str, text: str) -> str:
    """The question what rules would have done, as the inbox keeps it."""
    return f"{WHAT_IF} {rules_hash} {_packed(text)}"


def _packed(text: str) -> str:
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode()


def text_in(packed: str) -> str:
    """The text of an edit. Raises ValueError for what is none."""
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.urlsafe_b64decode(packed), 4 * TEXT_MAX)
        if unpacking.unconsumed_tail:
            raise ValueError("the text is too long")
        return data.decode()
    except (zlib.error, binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("the text of the edit cannot be read") from error


def named(kind: str) -> str:
    """A command's kind as it is shown: without the text of rules, or what else is packed into it."""
    return " ".join(kind.split(" ")[:3]) if kind.startswith((f"{KIND} ", JOBS)) else kind
