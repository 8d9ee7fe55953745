"""Examines what the bot stands on at this machine: SQLite, the disk, the database, a second instance, Telegram."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import msgspec

from exchange.environment import Network
from exchange.sim.playback.rulebook import SHIPPED_BRACKETS
from fsm.config import Secrets
from fsm.journal.symbol_lists import newest
from fsm.live.operator.apprised import Unusable, name_of, notifier
from fsm.live.preflight.findings import Finding, fail, ok, skip, warn
from fsm.live.trading.recovery import stored_records
from store.database import open_store
from store.errors import StoreError
from store.lock import holder
from store.sqlite import library_version

SQLITE_MIN = (3, 51, 3)
"""Older versions can corrupt a WAL database that one process writes and another checkpoints."""

DISK_MB_MIN, DISK_MB_WARN = 100, 1_000
"""A year of five symbols takes about 100 MB; a full disk ends trading, since nothing is done that is not journalled."""

TELEGRAM_TIMEOUT_S = 5.0


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What the database remembers that an examination of the account must know."""

    database_id: str | None = None
    environment: str | None = None
    account: str | None = None
    symbols_held: frozenset[str] = frozenset()
    listed: tuple[str, ...] = ()


def sqlite() -> Finding:
    version = library_version()
    if tuple(int(part) for part in version.split(".")) < SQLITE_MIN:
        advice = "install the pinned packages again (`make run` does): older versions can damage the journal"
        return fail("sqlite", f"version {version}", advice)
    return ok("sqlite", f"version {version}")


def disk(path: Path) -> Finding:
    """Room for the journal, in the nearest folder that exists."""
    folder = next(place for place in path.absolute().parents if place.exists())
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    seen = f"{free_mb:,} MB free in {folder}"
    if not os.access(folder, os.W_OK):
        return fail("disk", f"{folder} cannot be written to", "give the bot's user the right to write there")
    if free_mb < DISK_MB_MIN:
        return fail("disk", seen, f"make room: at least {DISK_MB_MIN} MB, better {DISK_MB_WARN} MB")
    return warn("disk", seen, "make room soon") if free_mb < DISK_MB_WARN else ok("disk", seen)


def paper(rest_url: str) -> list[Finding]:
    """What is real on paper and what is not."""
    prices = f"live prices and rules of {rest_url}, asked without a key; account and orders are simulated"
    brackets = f"as shipped, of {SHIPPED_BRACKETS}, or of var/data/brackets.json: the exchange tells them to keys only"
    return [ok("prices", prices), ok("margin brackets", brackets)]


def instance(path: Path) -> Finding:
    """A second instance never starts; one that runs is left in peace."""
    pid = holder(path)
    if pid is None:
        return ok("instance", "no other bot is using the database")
    who = f"process {pid}" if pid else "another process"
    return ok("instance", f"a bot is running with {path} ({who}): this is about it, and a second one will not start")


def database(path: Path, network: Network) -> tuple[Finding, Stored]:
    """Its environment; whose account it is can only be told once the key is known to work."""
    if not path.exists():
        return ok("database", f"{path} will be made at the first start"), Stored()
    try:
        with open_store(path, mode="read") as store:
            identity, records, listing = store.identity, stored_records(store), newest(store)
    except StoreError as error:
        return fail("database", error.message, error.hint), Stored()
    if identity is None:
        return ok("database", f"{path} is empty"), Stored()
    stored = Stored(
        database_id=identity.database_id,
        environment=identity.environment,
        account=identity.account,
        symbols_held=frozenset(name for name, record in records.items() if record.trade is not None),
        listed=() if listing is None else listing.listed,
    )
    seen = f"{path} belongs to {identity.environment} (id {identity.database_id})"
    if identity.environment != network.value:
        advice = f"the bot will not start with it on {network.value}: name another file with --db, or leave --db out"
        return fail("database", seen, advice), stored
    return ok("database", seen), stored


def has_another_key(stored: Stored, account_id: str) -> bool:
    return stored.account not in (None, account_id)


def account(stored: Stored, account_id: str, *, is_same: bool) -> Finding:
    """A database remembers the key that it was made with; ``is_same``: the account knows orders of this database."""
    if not has_another_key(stored, account_id):
        return ok("account", "the key is the database's own" if stored.account else "no key is remembered yet")
    if is_same:
        return ok("account", "another API key of the same account: it knows orders of this database")
    advice = "put that key back, or begin a new database with --db (reading this one is always allowed)"
    return fail("account", "the database was made with another API key, whose account knows no order of it", advice)


async def telegram(base_url: str, secrets: Secrets) -> Finding:
    """Whether the token is good and the chat can be written to; nothing is sent."""
    token, chat = secrets.tg_bot_token, secrets.tg_chat_id
    if token is None or chat is None:
        return skip("telegram", "not configured: alerts stay in the database and on the dashboard")
    base = f"{base_url.rstrip('/')}/bot{token.reveal()}"
    try:
        name = await asyncio.to_thread(_asked, f"{base}/getMe")
        await asyncio.to_thread(_asked, f"{base}/getChat?chat_id={chat.reveal()}")
    except urllib.error.HTTPError as error:
        advice = {
            401: "TG_BOT_TOKEN is wrong: copy it again from @BotFather",
            400: "TG_CHAT_ID is wrong, or nobody has written to the bot there yet",
        }.get(error.code, "look at TG_BOT_TOKEN and TG_CHAT_ID")
        return fail("telegram", secrets.redact(f"it answers HTTP {error.code}"), advice)
    except (OSError, ValueError) as error:
        seen = secrets.redact(f"cannot be reached: {type(error).__name__}: {error}")
        return warn("telegram", seen, "alerts wait in the database until it can; look at the network")
    return ok("telegram", f"reached as {name}")


def second_channel(secrets: Secrets) -> Finding:
    """Whether each address is one that messages can go to; nothing is sent."""
    urls = [url.reveal() for url in (*secrets.alert_urls, *secrets.escalation_urls)]
    if not urls:
        return skip("alerts", "no second way to you is configured (ALERT_URLS)")
    try:
        for url in urls:
            notifier(url)
    except Unusable as error:
        return fail("alerts", secrets.redact(str(error)), "look at ALERT_URLS and ESCALATION_URLS")
    return ok("alerts", f"{', '.join(name_of(url) for url in urls)} can be written to as far as their form says")


def ping(secrets: Secrets) -> Finding:
    """Whether somebody outside waits for signs of life; none is given here, for that would be no sign of the bot."""
    if secrets.ping_url is None:
        return skip("ping", "nobody outside notices when the bot stops (PING_URL)")
    return ok("ping", "PING_URL is asked for while the bot can protect; `doctor` does not ask")


def _asked(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TELEGRAM_TIMEOUT_S) as answer:  # noqa: S310 - from our own configuration
        result = json.loads(answer.read()).get("result", {})
    return str(result.get("username") or result.get("id") or "unknown")
