"""What one process speaks with: the real client and the real user stream, before an emulator in the same process."""

from __future__ import annotations

from collections.abc import Callable

from exchange.binance.client import BinanceClient
from exchange.binance.listen_keys import ListenKeys
from exchange.binance.user_stream import UserStream
from exchange.events import Sink, StreamEvent
from exchange.secrets import Credentials, Secret
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.memory import MemoryStreams, MemoryTransport, WireFaults
from fsm.live.context.clock import Clock

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
        self._connect_to = MemoryStreams(emulator.hub, weather).connect
        self._clock = clock
        self._on_event = on_event

    def listen(self, sink: Sink) -> UserStream:
        """The stream of a daemon, which is told by ``sink``."""

        def heard(event: StreamEvent) -> None:
            self._on_event(event)
            sink(event)

        return UserStream(
            keys=ListenKeys(self.client.http),
            base_urls=(STREAM_URL,),
            clock=self._clock,
            sink=heard,
            connect_to=self._connect_to,
        )
