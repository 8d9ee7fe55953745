"""Joins what speaks with the world beside the exchange: the messenger, and the ping to who watches over the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fsm.config import Environment
from fsm.live.context.clock import Clock, ExchangeClock, MachineClock
from fsm.live.operator.answers import Answers
from fsm.live.operator.apprised import delivery, name_of
from fsm.live.operator.channel import Channel
from fsm.live.operator.chat import Chat
from fsm.live.operator.courier import Courier
from fsm.live.operator.delivery import Delivery
from fsm.live.operator.escalation import Escalation
from fsm.live.operator.messenger import Messenger, Tally
from fsm.live.process.daemon import Daemon
from fsm.live.process.dead_man import DeadMan, ask, by_courier, find_room
from fsm.live.process.supervisor import Background
from store.alerts import AlertBox
from store.database import Store

ALERT_AGE_MS_MAX = 3 * 86_400_000
"""Older messages that were never delivered are news no more; they stay in the database."""


def wall_of(daemon: Daemon) -> Clock:
    """Who is spoken to lives in real time."""
    clock = daemon.live.clock
    return clock if isinstance(clock, ExchangeClock) else MachineClock()


@asynccontextmanager
async def outside(
    environment: Environment, store: Store, db: Path, daemon: Daemon
) -> AsyncIterator[Sequence[Background]]:
    """What has to run for it; nothing where nothing is configured."""
    async with telegram_of(environment, store, db, daemon) as messaging:
        couriers: list[Courier] = []
        try:
            beside = (*ping_of(environment, db, daemon, couriers), *channels_of(environment, daemon, couriers))
            yield (*messaging, *beside)
        finally:
            for courier in couriers:
                courier.end()


def ping_of(environment: Environment, db: Path, daemon: Daemon, couriers: list[Courier]) -> Sequence[Background]:
    """The dead man's switch, where there is somebody to ping."""
    url = environment.secrets.ping_url
    if url is None:
        return ()
    courier = Courier("ping")
    couriers.append(courier)
    dead_man = DeadMan(
        daemon.live,
        daemon.workers,
        send=by_courier(courier, lambda: ask(url.reveal())),
        room=by_courier(courier, lambda: find_room(db.absolute().parent)),
        clock=wall_of(daemon),
        count=daemon.troubles.count,
    )
    return (partial(dead_man.run, daemon.started),)


def channels_of(environment: Environment, daemon: Daemon, couriers: list[Courier]) -> Sequence[Background]:
    """The second way to the operator, an address each, and what tells again where nobody acknowledges."""
    secrets, live = environment.secrets, daemon.live
    addresses = {url.reveal(): False for url in secrets.alert_urls}
    addresses |= {url.reveal(): True for url in secrets.escalation_urls if url.reveal() not in addresses}
    if not addresses:
        return ()
    escalation = Escalation(
        journal=live.journal, alerts=daemon.alerts, active=live.active, clock=live.clock, wall=wall_of(daemon)
    )
    daemon.commands.on_ack = escalation.acknowledge
    found: list[Background] = [escalation.run]
    for url, only_escalated in addresses.items():
        courier = Courier(name_of(url))
        couriers.append(courier)
        channel = Channel(
            name_of(url),
            delivery(url, courier),
            journal=live.journal,
            active=live.active,
            clock=live.clock,
            wall=wall_of(daemon),
            only_escalated=only_escalated,
            count=daemon.troubles.count,
        )
        found.append(channel.run)
    return found


def messaging_of(messenger: Messenger, daemon: Daemon, store: Store, db: Path) -> Sequence[Background]:
    """What delivers alerts to this messenger, and takes commands from it."""
    live, tally, wall, alerts = daemon.live, Tally(), wall_of(daemon), daemon.alerts
    delivery = Delivery(AlertBox(store), messenger, live.active, wall, tally, daemon.troubles.count)
    chat = Chat(
        messenger=messenger,
        answers=Answers(db, live.clock.now_ms),
        journal=live.journal,
        alerts=alerts,
        clock=live.clock,
        wall=wall,
        tally=tally,
        banner=alerts.banner,
    )
    return delivery.run, chat.run


@asynccontextmanager
async def telegram_of(
    environment: Environment, store: Store, db: Path, daemon: Daemon
) -> AsyncIterator[Sequence[Background]]:
    """What delivers alerts and hears commands, where there is a token; its library is loaded only then."""
    token, chat = environment.secrets.tg_bot_token, environment.secrets.tg_chat_id
    if token is None or chat is None:
        yield ()
        return
    from fsm.live.operator.telegram import Telegram

    async def last_word(text: str) -> None:
        await telegram.send(f"{daemon.alerts.banner}{text}", silent=False)

    expire_before_ms = daemon.live.clock.now_ms() - ALERT_AGE_MS_MAX
    AlertBox(store).expire(expire_before_ms, "older than three days when Telegram was there again")
    base_url, wall = environment.tg_base_url, wall_of(daemon)
    telegram = Telegram(base_url, token=token, chat=chat, secrets=environment.secrets, clock=wall)
    daemon.last_word = last_word
    try:
        yield messaging_of(telegram, daemon, store, db)
    finally:
        await telegram.aclose()
