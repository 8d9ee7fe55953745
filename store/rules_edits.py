"""Edits of the rules as the inbox keeps them: one line with the hash that an edit was made from, and its text."""

from __future__ import annotations

import base64
import binascii
import zlib

KIND = "rules edit"
TEXT_MAX = 200_000
"""Characters of a rules file that is edited in this way; the shipped one has 30,000."""


def line_of(based_on: str, text: str) -> str:
    """The line that the inbox keeps."""
    return f"{KIND} {based_on} {base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode()}"


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
    """A command's kind as it is shown: an edit without its text."""
    return " ".join(kind.split(" ")[:3]) if kind.startswith(f"{KIND} ") else kind
