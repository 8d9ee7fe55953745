"""Takes every secret out of text that leaves this machine: those that are known, and what looks like one."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from html.entities import codepoint2name
from io import StringIO
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from dotenv.parser import parse_stream

from exchange.secrets import HIDDEN, redact

_PLAIN_KEYS = frozenset({"BINANCE_ENV", "SIM_REST_URL", "SIM_WS_URL", "PAPER_REST_URL", "PAPER_WS_URL", "TG_BASE_URL"})
_SECRET_NAME = re.compile(
    r"KEY|SECRET|TOKEN|PASS|CREDENTIAL|AUTH|CHAT_ID|DSN|WEBHOOK|COOKIE|PING_URL|(?:ALERT|ESCALATION)_URLS",
    re.IGNORECASE,
)
_LENGTH_MIN = 5
_PART_MIN = 8
"""Shorter parts of an address are words like any other."""

_BLOCK_LINES, _SHARED_LINES = 1_000, 40
"""So many lines are looked at together, and so many of them again with the next: a secret that was wrapped stands in
several."""

_CUT = r"(?:(?:\\*(?:\r|\n|\\[rn]))+[ \t]*)?"
"""Where a line was wrapped, also within a text that is JSON itself."""

_FILE_BYTES_MAX = 64 * 1024
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    # A Telegram bot's token, also in an address.
    (re.compile(r"\b\d{6,12}:[A-Za-z0-9_-]{30,}"), HIDDEN),
    # The exchange's keys are 64 letters and digits; our hashes are 64 digits of a lower-case hexadecimal number.
    (re.compile(r"(?<![A-Za-z0-9])(?![0-9a-f]{64}(?![A-Za-z0-9]))[A-Za-z0-9]{64}(?![A-Za-z0-9])"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    # name: value, name=value, "name": "value", also within a text that is JSON itself.
    (
        re.compile(
            r"(?i)((?:api[_-]?key|secret|token|passw(?:or)?d|passphrase|credential|apikey|cookie|authorization)"
            r"[\w.-]*\\*[\"']?\s*[:=]\s*)(\\*[\"'])([^\"'\\\n]{3,})"
        ),
        rf"\1\2{HIDDEN}",
    ),
    (
        re.compile(
            r"(?i)((?:api[_-]?key|secret|token|passw(?:or)?d|passphrase|credential|apikey|cookie|authorization)"
            r"[\w.-]*\s*[:=]\s*)([^\s\"'\\,;&{}\[\]]{6,})"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)(?:[^/\s:@\"']+:[^/\s@\"']+|[^/\s:@\"']{8,})@"), rf"\1{HIDDEN}@"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), HIDDEN),
)


class Mask:
    """Replaces secrets by ``***``: each known one in every spelling that a file may hold, then what looks like one."""

    def __init__(self, known: Iterable[str]) -> None:
        ordered = sorted({secret for secret in known if len(secret) >= _LENGTH_MIN}, key=len, reverse=True)
        self._known = re.compile("|".join(map(_pattern, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        text = redact(text)
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
        return text

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """The same over the lines of a file, of which a secret may fill several. What was in several is one."""
        block: list[str] = []
        for line in lines:
            block.append(line)
            if len(block) >= _BLOCK_LINES:
                whole = self("".join(block)).splitlines(keepends=True)
                kept = max(len(whole) - _SHARED_LINES, 1)
                yield from whole[:kept]
                block = whole[kept:]
        yield from self("".join(block)).splitlines(keepends=True)


def secrets_known(env_path: Path, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Every value of .env but the plain ones, and what the process environment calls a key, a token or alike.

    .env is read whatever else is wrong with it: an incident is when something is.
    """
    try:
        written = parse_stream(StringIO(env_path.read_text(encoding="utf-8-sig", errors="replace")))
    except OSError:
        written = iter(())
    for binding in written:
        if binding.value and (binding.key or "").endswith("_FILE"):
            yield from _in_file(binding.value)
        elif binding.value and binding.key not in _PLAIN_KEYS:
            yield from _each(binding.value)
    for name, value in environ.items():
        if value and name.endswith("_FILE") and _SECRET_NAME.search(name):
            yield from _in_file(value)
        elif value and name not in _PLAIN_KEYS and _SECRET_NAME.search(name) and not os.path.isabs(value):
            yield from _each(value)


def _in_file(path: str) -> Iterator[str]:
    """A secret that stands in a file of its own."""
    with suppress(OSError, ValueError), open(path, encoding="utf-8-sig", errors="replace") as file:
        yield from _each(file.read(_FILE_BYTES_MAX).strip("\r\n"))


def _each(value: str) -> Iterator[str]:
    """All of it; of addresses each, and each part that may be what is secret in it."""
    yield value
    if "://" in value:
        for address in value.split():
            yield address
            with suppress(ValueError):
                yield from _parts(address)


def _parts(address: str) -> Iterator[str]:
    """Name and password, a host that is no host (ntfy's topic), what is long in its path and its query."""
    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    for part in (*user.split(":", 1), *(() if "." in host or ":" in host else (host,))):
        yield from {part, unquote(part)}
    found = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    for part in found:
        if len(part) >= _PART_MIN:
            yield from {part, unquote(part)}


def _pattern(secret: str) -> str:
    """The secret as it stands, as an address, JSON, HTML or Python spell it, however often over; in base64, in hex.
    Each may be cut into lines.

    Digits stand alone: the number of a chat is not to be found within a price or a time.
    """
    raw = secret.encode("utf-8", errors="surrogateescape")
    if secret.lstrip("-").isdigit():
        spelt = rf"(?<![0-9.])-?{secret.lstrip('-')}(?![0-9])"
    else:
        spelt = _CUT.join(_spelt(character) for character in secret)
    hexadecimal = (_CUT + "[ :]?").join(f"(?i:{byte:02x})" for byte in raw)
    return "|".join((spelt, hexadecimal, *(_CUT.join(map(re.escape, text)) for text in _in_base64(raw))))


def _in_base64(raw: bytes) -> Iterator[str]:
    """As it stands alone, and as it stands within something longer: then its first and last letter depend on that."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        for before in (0, 1, 2) if len(raw) >= _PART_MIN else ():
            first = -(-before * 8 // 6)
            yield encode(b"." * before + raw).decode()[first : (before + len(raw)) * 8 // 6]


@lru_cache(maxsize=256)
def _spelt(character: str) -> str:
    """One character in every spelling: itself, with backslashes before it, %XX, \\uXXXX, an entity."""
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in character.encode("utf-8", errors="surrogateescape"))
    escaped = rf"\\+(?:u(?i:{ord(character):04x})|x(?i:{ord(character):02x}))"
    if character.isascii() and character.isalnum():
        return f"(?:{character}|(?i:{percent})|{escaped})"
    ways = [
        r"\\*" + re.escape(character),
        f"(?i:{percent})",
        escaped,
        rf"&(?:amp;)*(?:#{ord(character)}|(?i:#x{ord(character):x})|{codepoint2name.get(ord(character), '#')});",
    ]
    if character == " ":
        ways.append(r"\+")
    if character == "\\":
        ways.insert(0, r"\\+")
    return f"(?:{'|'.join(ways)})"
