"""A TCP proxy that a network's troubles are made with."""

import socket
import threading
import time
from contextlib import suppress
from typing import Self

CHUNK = 65_536  # bytes


class Proxy:
    """Passes connections on to a server, as badly as it is told to.

    refuses: ends what is open, and lets nobody in.
    silent: keeps what is open and passes nothing on, in neither direction, for good.
    mute: passes on what clients say, and swallows the answers.
    delay: how long each chunk takes on its way. Seconds.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.target = (host, port)
        self.refuses = self.mute = False
        self.delay = 0.0
        self._listener = socket.create_server((host, 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._silenced: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # A thread in accept() keeps a socket that is only closed.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        silenced = list(self._silenced)
        self.cut()
        for each in silenced:
            each.close()

    def cut(self) -> int:
        """End every connection; return how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for each in pair:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        return len(pairs)

    def silence(self) -> int:
        """Leave every open connection half-open: nobody hears of its end. Return how many."""
        with self._lock:
            self._silenced.update(each for pair in self._pairs for each in pair)
            return len(self._pairs)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
                continue
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._pairs.append((client, server))
            for source, target, answers in ((client, server, False), (server, client, True)):
                threading.Thread(
                    target=self._pass_on, args=(source, target, answers), daemon=True
                ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK):
                if self.delay:
                    time.sleep(self.delay)
                if source not in self._silenced and not (answers and self.mute):
                    target.sendall(chunk)
        # The end of a silenced connection is not told either.
        if source not in self._silenced:
            for each in (source, target):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
