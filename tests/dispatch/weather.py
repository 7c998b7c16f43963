"""A network whose weather tests make: a proxy of one server that passes, delays, cuts, hangs or mutes connections."""

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Weather(StrEnum):
    """What happens to what is sent."""

    FAIR = "fair"
    SLOW = "slow"
    """Each piece arrives late."""
    CUT = "cut"
    """Connections break, new ones too."""
    HUNG = "hung"
    """Half open: connections stay, and nothing gets through."""
    MUTE = "mute"
    """What is asked arrives, what is answered does not."""


@dataclass(eq=False)
class _Link:
    """One connection; `torn` when something was lost on it, so that it is of no use any more."""

    writers: tuple[asyncio.StreamWriter, ...]
    torn: bool = False

    def close(self) -> None:
        for writer in self.writers:
            with suppress(OSError, RuntimeError):
                writer.transport.abort()


class Proxy:
    """Listens on a port of this machine, and speaks to the server at a unix socket."""

    def __init__(self, server: str, *, delay: float = 0.15) -> None:
        self._server_path = server
        self._delay = delay
        self._weather = Weather.FAIR
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="weather")
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def turn(self, weather: Weather) -> None:
        """From now on it is so. Connections that lost something break when it clears up, as real ones do."""
        self._do(self._turn(weather))

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _turn(self, weather: Weather) -> None:
        self._weather = weather
        for link in list(self._links):
            if weather is Weather.CUT or (link.torn and weather in {Weather.FAIR, Weather.SLOW}):
                link.close()

    async def _end(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, asking: asyncio.StreamReader, asker: asyncio.StreamWriter) -> None:
        if self._weather is Weather.CUT:
            asker.transport.abort()
            return
        try:
            answering, server = await asyncio.open_unix_connection(self._server_path)
        except OSError:
            asker.transport.abort()
            return
        link = _Link((asker, server))
        self._links.add(link)
        try:
            ways = (self._carry(link, asking, server, answer=False), self._carry(link, answering, asker, answer=True))
            await asyncio.wait([asyncio.ensure_future(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            link.close()

    async def _carry(
        self, link: _Link, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answer: bool
    ) -> None:
        with suppress(OSError):
            while piece := await source.read(65_536):
                if self._weather is Weather.SLOW:
                    await asyncio.sleep(self._delay)
                if self._weather is Weather.HUNG or (self._weather is Weather.MUTE and answer):
                    link.torn = True
                if link.torn and (answer or self._weather is not Weather.MUTE):
                    continue
                target.write(piece)
                await target.drain()
