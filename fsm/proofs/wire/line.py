"""What one process speaks with: the real client and the real user stream, before an emulator in the same process."""

from __future__ import annotations

from collections.abc import Callable

from exchange.binance.client import BinanceClient
from exchange.binance.listen_keys import ListenKeys
from exchange.binance.user_stream import UserStream
from exchange.event_queue import EventQueue
from exchange.events import StreamEvent
from exchange.secrets import Credentials, Secret
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.memory import MemoryStreams, MemoryTransport, WireFaults
from fsm.live.context.clock import Clock
from fsm.live.context.live_context import LiveContext
from fsm.live.process.daemon import Daemon
from fsm.live.process.supervisor import Background
from fsm.live.trading.stream_listener import StreamListener

REST_URL, STREAM_URL = "http://127.0.0.1", "ws://127.0.0.1"


class Line:
    """One for each process, as budgets, pauses and connections end with it. ``on_event`` hears what the stream tells,
    decoded by the client's own codec, as the bot hears it."""

    def __init__(
        self,
        emulator: Emulator,
        transport: MemoryTransport,
        weather: WireFaults,
        clock: Clock,
        on_event: Callable[[StreamEvent], None] = lambda event: None,
    ) -> None:
        keys = emulator.credentials
        credentials = Credentials(api_key=Secret(keys.api_key), api_secret=Secret(keys.api_secret))
        self.client = BinanceClient(base_url=REST_URL, clock=clock, credentials=credentials, transport=transport)
        self._queue = EventQueue()
        self._on_event = on_event
        self.stream = UserStream(
            keys=ListenKeys(self.client.http),
            base_urls=(STREAM_URL,),
            clock=clock,
            sink=self._heard,
            connect_to=MemoryStreams(emulator.hub, weather).connect,
        )
        self._listening: StreamListener | None = None

    def _heard(self, event: StreamEvent) -> None:
        self._on_event(event)
        self._queue.put(event)

    def background(self, live: LiveContext) -> list[Background]:
        """What a daemon runs beside itself."""
        self._listening = StreamListener(self._queue, live)
        live.loop_lag.hears = lambda: self.stream.is_open
        return [self.stream.run, self._listening.run]

    def joined(self, daemon: Daemon) -> None:
        """What is heard wakes the workers of this daemon from now on."""
        assert self._listening is not None
        self._listening.workers = daemon.workers
