"""Which exchange this process works on, and its secrets: read from .env and then the process environment, which wins.

A value that is empty counts as not given, in both places. Values are taken as they stand: nothing is expanded.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

from dotenv.parser import Binding, parse_stream

from exchange.environment import Network, UnusableEnvironment, paper, resolve, simulator
from exchange.secrets import Secret
from fsm.config.secrets import Secrets
from rules.source.yaml_source import Problem, SourceError
from web.tokens import HINT, weakness

TG_BASE_URL_DEFAULT = "https://api.telegram.org"
SECRETS = (
    "BINANCE_API_KEY",
    "BINANCE_API_SECRET",
    "DASHBOARD_TOKEN",
    "TG_BOT_TOKEN",
    "TG_CHAT_ID",
    "PING_URL",
    "ALERT_URLS",
    "ESCALATION_URLS",
)
KEYS = ("BINANCE_ENV", *SECRETS, "TG_BASE_URL", "SIM_REST_URL", "SIM_WS_URL", "PAPER_REST_URL", "PAPER_WS_URL")
FILES = tuple(f"{key}_FILE" for key in SECRETS)
"""Instead of a secret the path of a file that holds it, as service managers and containers hand them over."""
OF_ONE = {
    Network.SIM: ("SIM_REST_URL", "SIM_WS_URL"),
    Network.PAPER: ("PAPER_REST_URL", "PAPER_WS_URL"),
}
"""Addresses that mean something under one exchange alone."""

KEYS_OF_AN_ACCOUNT = ("BINANCE_API_KEY", "BINANCE_API_SECRET")

KEYLESS = frozenset({Network.SIM, Network.PAPER})
"""The exchange is started by the bot itself and hands out its own keys."""

EMBEDDED = "embedded: a free port of this machine"
_BYTES_MAX = 64 * 1024
_URLS_MAX = 8
_PROCESS = "environment"  # stands for the file where a value came from the process environment
_PRINTABLE = re.compile(r"[!-~]+")
_CHAT_ID = re.compile(r"-?[0-9]+|@[A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What was given. ``sim_rest_url`` and ``sim_ws_url`` name a running emulator, only with ``Network.SIM``;
    ``paper_rest_url`` and ``paper_ws_url`` name where prices come from, only with ``Network.PAPER``.

    ``secret_files`` are the files that secrets were read from, by key; ``ignored`` are keys that were given but mean
    nothing under this exchange.
    """

    name: Network
    secrets: Secrets
    sim_rest_url: str | None = None
    sim_ws_url: str | None = None
    paper_rest_url: str | None = None
    paper_ws_url: str | None = None
    tg_base_url: str = TG_BASE_URL_DEFAULT
    ignored: tuple[str, ...] = ()
    secret_files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """The environment's name as it stands on every line of a log; in capitals where it is about real money."""
        return self.name.value.upper() if self.is_real_money else self.name.value

    @property
    def dashboard_token_file(self) -> Path | None:
        """Where another token may come to stand while the bot runs."""
        return self.secret_files.get("DASHBOARD_TOKEN")

    @property
    def is_embedded(self) -> bool:
        """The exchange is started by the bot itself."""
        return self.name in KEYLESS and self.sim_rest_url is None

    @property
    def is_recorded(self) -> bool:
        """What is traded are recorded prices of the embedded exchange, which begin where we want."""
        return self.is_embedded and self.name is Network.SIM

    @property
    def is_real_money(self) -> bool:
        """Whoever reads anything of this environment must be told so, unmistakably."""
        return self.name is Network.MAINNET

    @property
    def database_path(self) -> Path:
        """Where the database lies unless a command says otherwise."""
        return Path("var") / f"{self.name}.sqlite"

    @property
    def addresses(self) -> dict[str, str]:
        """What exchange.environment.resolve() makes the hosts of; no secrets."""
        given = {
            "BINANCE_ENV": self.name.value,
            "SIM_REST_URL": self.sim_rest_url,
            "SIM_WS_URL": self.sim_ws_url,
            "PAPER_REST_URL": self.paper_rest_url,
            "PAPER_WS_URL": self.paper_ws_url,
        }
        return {key: value for key, value in given.items() if value is not None}

    def shown(self) -> dict[str, object]:
        """Everything for a person to read; secrets only as present or not. The addresses are those in force."""
        where = resolve(self.addresses)
        return {
            "binance_env": self.name.value,
            **self.secrets.shown(),
            "tg_base_url": self.tg_base_url,
            "sim_rest_url": self.sim_rest_url,
            "sim_ws_url": self.sim_ws_url,
            "paper_rest_url": self.paper_rest_url,
            "paper_ws_url": self.paper_ws_url,
            "prices_from": None if where.prices is None else where.prices.rest_url,
            "rest_url": where.rest_url or EMBEDDED,
            "stream_urls": list(where.ws_urls) or ([EMBEDDED] if where.is_embedded else []),
            "ignored": list(self.ignored),
        }


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and where it was written."""

    text: str
    file: str
    line: int = 1
    column: int = 1
    is_file_of_its_own: bool = False

    def problem(self, message: str) -> Problem:
        return Problem(self.file, self.line, self.column, message)


def read_environment(
    env_path: Path | None, environ: Mapping[str, str], *, required: bool = False, needs_keys: bool = True
) -> Environment:
    """Reads both places. Raises SourceError with every problem.

    A file that is missing is fine unless ``required``. Without ``needs_keys`` exchange keys may be missing: for
    commands that only read what is stored, and for the lab.
    """
    problems: list[Problem] = []
    has_file = env_path is not None and env_path.exists()
    written = _read_file(env_path, problems) if env_path is not None and (has_file or required) else {}
    given = {key: value for key, value in written.items() if value.text}
    given |= {key: _Given(environ[key], _PROCESS) for key in (*KEYS, *FILES) if environ.get(key)}
    given |= _from_files(given, problems, needed=needs_keys)
    places = {key: written.get(key, _Given("", str(env_path) if has_file else _PROCESS)) for key in KEYS}
    name = _read_name(given, places, problems, has_file=has_file)
    if name is not None:
        problems += _missing(name, given, places, needs_keys=needs_keys)
        problems += _url_problems(name, given)
    problems += _value_problems(given)
    if problems or name is None:
        raise SourceError(problems)
    own = OF_ONE.get(name, ())
    others = [key for keys in OF_ONE.values() for key in keys if key not in own]
    others += [key for key in KEYS_OF_AN_ACCOUNT if name is Network.PAPER]
    address = {key: _text(given, key) for key in own}
    return Environment(
        name=name,
        secrets=Secrets(
            api_key=_secret(given, "BINANCE_API_KEY"),
            api_secret=_secret(given, "BINANCE_API_SECRET"),
            dashboard_token=_secret(given, "DASHBOARD_TOKEN"),
            tg_bot_token=_secret(given, "TG_BOT_TOKEN"),
            tg_chat_id=_secret(given, "TG_CHAT_ID"),
            ping_url=_secret(given, "PING_URL"),
            alert_urls=_secrets(given, "ALERT_URLS"),
            escalation_urls=_secrets(given, "ESCALATION_URLS"),
        ),
        sim_rest_url=address.get("SIM_REST_URL"),
        sim_ws_url=address.get("SIM_WS_URL"),
        paper_rest_url=address.get("PAPER_REST_URL"),
        paper_ws_url=address.get("PAPER_WS_URL"),
        tg_base_url=_text(given, "TG_BASE_URL") or TG_BASE_URL_DEFAULT,
        ignored=tuple(key for key in others if key in given),
        secret_files={key: Path(value.file) for key, value in given.items() if value.is_file_of_its_own},
    )


def _text(given: Mapping[str, _Given], key: str) -> str | None:
    return given[key].text if key in given else None


def _secret(given: Mapping[str, _Given], key: str) -> Secret | None:
    return Secret(given[key].text) if key in given else None


def _secrets(given: Mapping[str, _Given], key: str) -> tuple[Secret, ...]:
    return tuple(Secret(url) for url in given[key].text.split()) if key in given else ()


def _read_file(path: Path, problems: list[Problem]) -> dict[str, _Given]:
    """The keys that are ours; what cannot be one of ours is left alone, for the file may serve others too."""
    name = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES_MAX + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        problems.append(Problem(name, 1, 1, f"cannot be read: {reason}"))
        return {}
    if len(content) > _BYTES_MAX:
        problems.append(Problem(name, 1, 1, f"the file is larger than {_BYTES_MAX // 1024} kB"))
        return {}
    given: dict[str, _Given] = {}
    for binding in parse_stream(StringIO(text, newline="")):
        _take(binding, name, given, problems)
    return given


def _from_files(given: Mapping[str, _Given], problems: list[Problem], *, needed: bool) -> dict[str, _Given]:
    """Secrets that stand in files of their own; the line break at the end of such a file is none of the secret.

    One that cannot be read is only a problem where it is ``needed``: reading what is stored takes no secret.
    """
    found: dict[str, _Given] = {}
    for key, name in zip(SECRETS, FILES, strict=True):
        path, value = given.get(name), given.get(key)
        if path is None:
            continue
        if value is not None and value.file != path.file:
            if value.file == _PROCESS:  # which wins, as it does over everything in a file
                continue
        elif value is not None:
            problems.append(path.problem(f"{key} and {name} are both given: leave one out"))
            continue
        try:
            with Path(path.text).open("rb") as file:
                text = file.read(_BYTES_MAX).decode("utf-8-sig").strip("\r\n")
            problem = "" if text else "is empty"
        except (OSError, UnicodeDecodeError, ValueError) as error:
            text, problem = "", f"cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        if text:
            found[key] = _Given(text, path.text, is_file_of_its_own=True)
        elif needed:
            problems.append(path.problem(f"{name}: {path.text} {problem}"))
    return found


def _take(binding: Binding, file: str, given: dict[str, _Given], problems: list[Problem]) -> None:
    """One line of the file."""
    written = binding.original.string
    start = len(written) - len(written.lstrip())
    line = binding.original.line + written.count("\n", 0, start)
    column = start - written.rfind("\n", 0, start)
    key, value = binding.key, binding.value
    if binding.error:
        problems.append(Problem(file, line, column, "not KEY=value; is a quote left open?"))
    if key is None:
        return
    if key not in KEYS and key not in FILES:
        guess = difflib.get_close_matches(key.upper(), KEYS, n=1, cutoff=0.8)
        if guess:
            problems.append(Problem(file, line, column, f"unknown key {key}; did you mean {guess[0]}?"))
    elif key in given:
        problems.append(Problem(file, line, column, f"{key} is written twice; it is already in line {given[key].line}"))
    elif value is None:
        problems.append(Problem(file, line, column, f"{key} has no value: write {key}=value"))
    elif "\n" in value or "\r" in value:
        problems.append(Problem(file, line, column, f"{key} goes over several lines: is a quote left open?"))
    else:
        offset = re.match(r"[^=]*=\s*['\"]?", written[start:])
        given[key] = _Given(value, file, line, column + (offset.end() if offset else 0))


def _read_name(
    given: Mapping[str, _Given], places: Mapping[str, _Given], problems: list[Problem], *, has_file: bool
) -> Network | None:
    """BINANCE_ENV; with no file at all it is the embedded exchange, which needs nothing."""
    value = given.get("BINANCE_ENV")
    if value is None:
        if not has_file:
            return Network.SIM
        problems.append(
            places["BINANCE_ENV"].problem("BINANCE_ENV is missing: write BINANCE_ENV=sim, paper, testnet or mainnet")
        )
        return None
    try:
        return Network(value.text)
    except ValueError:
        guess = difflib.get_close_matches(value.text.lower(), list(Network), n=1, cutoff=0.5)
        hint = f"; did you mean {guess[0]}?" if guess else ""
        problems.append(value.problem(f"BINANCE_ENV must be sim, paper, testnet or mainnet{hint}"))
        return None


def _missing(
    name: Network, given: Mapping[str, _Given], places: Mapping[str, _Given], *, needs_keys: bool
) -> Iterator[Problem]:
    emulator = name is Network.SIM and "SIM_REST_URL" in given
    reason = "a running emulator (SIM_REST_URL)" if emulator else name.value
    if needs_keys and (name not in KEYLESS or emulator):
        for key in KEYS_OF_AN_ACCOUNT:
            if key not in given:
                yield places[key].problem(f"{key} is missing: {reason} needs it")
    for key, other in (("TG_BOT_TOKEN", "TG_CHAT_ID"), ("TG_CHAT_ID", "TG_BOT_TOKEN")):
        if key in given and other not in given:
            yield given[key].problem(f"{other} is missing: {key} alone sends nothing; give both or neither")


def _url_problems(name: Network, given: Mapping[str, _Given]) -> Iterator[Problem]:
    telegram = given.get("TG_BASE_URL")
    if telegram and not (_is_url(telegram.text, "https") or _is_loopback(telegram.text, "http")):
        yield telegram.problem("TG_BASE_URL must be https://…, or http:// on loopback")
    ping = given.get("PING_URL")
    if ping and not _is_address(ping.text):
        yield ping.problem("PING_URL must be the whole address to ask for, https://… or http://…")
    if name not in OF_ONE:
        return
    rest, ws = OF_ONE[name]
    check = simulator if name is Network.SIM else paper
    try:
        check(_text(given, rest) or "", _text(given, ws) or "")
    except UnusableEnvironment as error:
        named = given.get(ws if str(error).startswith(ws) else rest) or given.get(ws)
        assert named is not None
        yield named.problem(str(error))


def _is_url(text: str, scheme: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme == scheme
            and bool(parts.hostname)
            and parts.port != 0
            and parts.username is None
            and not parts.query
            and not parts.fragment
        )
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    """Anything that can be asked for; its path or query may be a secret."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_loopback(text: str, scheme: str) -> bool:
    if not _is_url(text, scheme):
        return False
    host = urlsplit(text).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _value_problems(given: Mapping[str, _Given]) -> Iterator[Problem]:
    """What is wrong with a value alone. Values are never repeated: most of them are secret."""
    for key in ("BINANCE_API_KEY", "BINANCE_API_SECRET", "TG_BOT_TOKEN"):
        if key in given and not _PRINTABLE.fullmatch(given[key].text):
            yield given[key].problem(f"{key} has a space or a sign that is not ASCII: copy it again")
        elif key in given and given[key].text.strip(".x") == "":
            yield given[key].problem(f"{key} is still a placeholder: put the real one here, or leave it empty")
    token = given.get("DASHBOARD_TOKEN")
    problem = weakness(token.text) if token else None
    if token and problem:
        yield token.problem(f"{problem}; {HINT}")
    for key in ("ALERT_URLS", "ESCALATION_URLS"):
        urls = given[key].text.split() if key in given else []
        if not all(re.match(r"[a-z0-9+.-]+://.", url, re.IGNORECASE) for url in urls) or len(urls) > _URLS_MAX:
            yield given[key].problem(f"{key} must be up to {_URLS_MAX} addresses of apprise, with spaces between them")
    chat = given.get("TG_CHAT_ID")
    if chat and not _CHAT_ID.fullmatch(chat.text):
        yield chat.problem("TG_CHAT_ID must be a number, or @ and the name of a channel")
