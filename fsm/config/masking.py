"""Takes every secret out of text that leaves this machine: those that are known, and what looks like one."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from html.entities import codepoint2name
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from exchange.secrets import HIDDEN, redact

_PLAIN_KEYS = frozenset({"BINANCE_ENV", "SIM_REST_URL", "SIM_WS_URL", "PAPER_REST_URL", "PAPER_WS_URL", "TG_BASE_URL"})
_SECRET_NAME = re.compile(
    r"KEY|SECRET|TOKEN|PASS|CREDENTIAL|AUTH|CHAT_ID|DSN|WEBHOOK|COOKIE|PING_URL|(?:ALERT|ESCALATION)_URLS",
    re.IGNORECASE,
)
_LENGTH_MIN = 5
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
            r"(?i)([\w.-]*(?:api[_-]?key|secret|token|passw(?:or)?d|passphrase|credential|apikey|cookie|authorization)"
            r"[\w.-]*\\*[\"']?\s*[:=]\s*)(\\*[\"'])([^\"'\\\n]{3,})"
        ),
        rf"\1\2{HIDDEN}",
    ),
    (
        re.compile(
            r"(?i)([\w.-]*(?:api[_-]?key|secret|token|passw(?:or)?d|passphrase|credential|apikey|cookie|authorization)"
            r"[\w.-]*\s*[:=]\s*)([^\s\"'\\,;&{}\[\]]{6,})"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/\s:@\"']+:[^/\s@\"']+@"), rf"\1{HIDDEN}@"),
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
    """All of it, and each of several addresses."""
    yield value
    if "://" in value:
        yield from value.split()


def _pattern(secret: str) -> str:
    """The secret as it stands, as an address, JSON, HTML or Python spell it, however often over; in base64, in hex.

    Digits stand alone: the number of a chat is not to be found within a price or a time.
    """
    raw = secret.encode("utf-8", errors="surrogateescape")
    if secret.lstrip("-").isdigit():
        spelt = rf"(?<![0-9.])-?{secret.lstrip('-')}(?![0-9])"
    else:
        spelt = "".join(_spelt(character) for character in secret)
    encoded = (base64.b64encode(raw), base64.urlsafe_b64encode(raw), raw.hex().encode())
    return "|".join((spelt, *(re.escape(text.decode().rstrip("=")) for text in encoded)))


def _spelt(character: str) -> str:
    """One character in every spelling: itself, with backslashes before it, %XX, \\uXXXX, an entity."""
    if character.isascii() and character.isalnum():
        return character
    percent = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", errors="surrogateescape"))
    ways = [
        r"\\*" + re.escape(character),
        f"(?i:{percent})",
        rf"\\+(?:u(?i:{ord(character):04x})|x(?i:{ord(character):02x}))",
        rf"&(?:amp;)*(?:#{ord(character)}|(?i:#x{ord(character):x})|{codepoint2name.get(ord(character), '#')});",
    ]
    if character == " ":
        ways.append(r"\+")
    if character == "\\":
        ways.insert(0, r"\\+")
    return f"(?:{'|'.join(ways)})"
