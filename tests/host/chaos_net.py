"""A network between gates and a broker that can be made bad: a TCP proxy with a wire for each gate.

Owns what happens to bytes on their way; it knows nothing of what they say.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable


class Wire:
    """What gate `name` is connected by; the methods may be called from any thread.

    `port`: where the gate comes in. `connections`: how many there were.
    """

    def __init__(self, net: "Net", name: str) -> None:
        self._net = net
        self.name = name
        self.port = 0
        self.connections = 0
        self._delay_s = 0.0
        self._links: list[_Link] = []
        self._refuses = self._swallows = False
        self._flows = asyncio.Event()
        self._flows.set()

    # What can be wrong with it

    def cut(self) -> None:
        """Break everything off with a reset, and let nobody in."""
        self._net.soon(self._cut)

    def drop(self) -> None:
        """Break everything off; who comes again is let in."""
        self._net.soon(self._drop)

    def half_open(self) -> None:
        """Lose the far ends: the gate keeps connections, old and new, at which nobody is."""
        self._net.soon(self._half_open)

    def stall(self) -> None:
        """Keep all bytes back; nothing is lost."""
        self._net.soon(self._flows.clear)

    def delay(self, seconds: float) -> None:
        """Let every piece take so long."""
        self._delay_s = seconds

    def heal(self) -> None:
        """Be a wire again. A connection whose far end is lost stays so: the gate has to find out."""
        self._net.soon(self._heal)

    def _drop(self) -> None:
        for link in self._links:
            link.abort()

    def _cut(self) -> None:
        self._refuses = True
        self._drop()

    def _half_open(self) -> None:
        self._swallows = True
        for link in self._links:
            link.lose()

    def _heal(self) -> None:
        self._refuses = self._swallows = False
        self._delay_s = 0.0
        self._flows.set()

    # What carries the bytes

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection of the gate to its end."""
        self.connections += 1
        link = _Link(reader, writer)
        self._links.append(link)
        try:
            if self._refuses:
                return
            if self._swallows:
                link.lose()
            else:
                await link.reach(self._net.to)
            await asyncio.gather(
                self._pump(link, reader, lambda: link.far), self._pump(link, link.back, lambda: writer)
            )
        except OSError:
            pass  # the broker is not there, or somebody has hung up
        finally:
            self._links.remove(link)
            link.abort()

    async def _pump(
        self,
        link: "_Link",
        source: asyncio.StreamReader | None,
        sink: Callable[[], asyncio.StreamWriter | None],
    ) -> None:
        while source is not None and (data := await source.read(4096)):
            await asyncio.sleep(self._delay_s)
            await self._flows.wait()
            to = sink()
            if to is not None and not link.is_lost:
                to.write(data)
                await to.drain()
        if not link.is_lost or source is not link.back:
            link.abort()


class _Link:
    """One connection of a gate, and the one to the broker that belongs to it, as long as there is one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._near = writer
        self.back: asyncio.StreamReader | None = None
        self.far: asyncio.StreamWriter | None = None
        self.is_lost = False

    async def reach(self, port: int) -> None:
        self.back, self.far = await asyncio.open_connection("127.0.0.1", port)

    def lose(self) -> None:
        """Reset the far end; the near one stays as if nothing had happened."""
        self.is_lost = True
        if self.far is not None:
            self.far.transport.abort()
            self.far = None

    def abort(self) -> None:
        self.lose()
        self._near.transport.abort()


class Net:
    """Wires for the gates `names`, to the port `to` of this machine; runs in a thread of its own."""

    def __init__(self, names: Iterable[str], to: int) -> None:
        self.to = to
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self.wires = {name: Wire(self, name) for name in names}
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="network")
        self._thread.start()
        ready.wait()

    def soon(self, function: Callable[[], None]) -> None:
        """Call `function()` in the network's thread."""
        self._loop.call_soon_threadsafe(function)

    def _run(self, ready: threading.Event) -> None:
        self._loop.run_until_complete(self._open())
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _open(self) -> None:
        for wire in self.wires.values():
            server = await asyncio.start_server(wire.accept, "127.0.0.1", 0)
            self._servers.append(server)
            wire.port = server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """End all connections and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
