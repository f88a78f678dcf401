"""A stand-in for a PostgreSQL server that can strike at any one message of its clients.

It sits on a unix socket between a command and the server, knows the protocol well enough to tell
messages apart, and passes them on. A strike is placed at one message, and runs before that message
is delivered, so that what happens "between two statements" happens exactly there: no sleeping, no
tracing, no change of the code under test. A client is known by the kernel's word for who
connected, so a kill meets the process that spoke, also where several work together.
"""

import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_CANCEL_REQUEST = 80_877_102


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of the frontend, as PostgreSQL's protocol frames them."""

    number: int
    """1 for the first message of all clients together."""
    kind: str
    """The protocol's letter, such as Q for a query, d for a piece of a COPY; ^ for startup."""
    text: str
    """The SQL of a query, else nothing."""
    session: int
    """1 for the first connection."""

    def __str__(self) -> str:
        return f"{self.number}:{self.kind} {' '.join(self.text.split())[:60]}".rstrip()


class Session:
    """One client's connection and ours to the server on its behalf."""

    def __init__(self, client: socket.socket, server: socket.socket, number: int) -> None:
        self.client = client
        self.server = server
        self.number = number
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.pid: int = struct.unpack("3i", credentials)[0]
        self.raw = b""  # the message at hand

    def deliver(self) -> None:
        """Hand the message at hand to the server."""
        raw, self.raw = self.raw, b""
        self.server.sendall(raw)

    def deliver_and_keep_the_reply(self) -> None:
        """Deliver, wait until the server has done what it was asked, and tell the client nothing.

        Pieces of a COPY have no reply of their own.
        """
        is_answered = self.raw[:1] in {b"Q", b"S", b"c", b"f", b"p", b"\0"}
        self.deliver()
        reply = b""
        while is_answered:
            data = self.server.recv(65_536)
            if not data:
                return
            reply += data
            while len(reply) >= 5 and len(reply) > struct.unpack("!i", reply[1:5])[0]:
                kind, size = reply[:1], struct.unpack("!i", reply[1:5])[0]
                if kind in {b"Z", b"G", b"R"}:  # ready, send your COPY, authenticate
                    return
                reply = reply[1 + size :]

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """End the client."""
        os.kill(self.pid, signum)

    def cut(self) -> None:
        """Lose the connection, on both sides."""
        for end in (self.client, self.server):
            end.close()


Strike = Callable[[Session], None]
"""What happens at a message; the message is delivered afterwards, if not done or lost."""


# --- Strikes ----------------------------------------------------------------------------------


def kill_before(session: Session) -> None:
    """The process dies; the server never sees the message."""
    session.kill()
    session.cut()


def kill_after(session: Session) -> None:
    """The server does what it was asked; the process dies without learning of it."""
    session.deliver_and_keep_the_reply()
    session.kill()
    session.cut()


def lose_reply(session: Session) -> None:
    """The server does what it was asked; the connection is lost before the process learns it."""
    session.deliver_and_keep_the_reply()
    session.cut()


@dataclass
class Interposer:
    """Stands in for the server that listens at `server`; use it as a context."""

    server: Path
    """The server's socket."""
    folder: Path
    """A new folder, for ours."""
    where: Callable[[Message], bool] = lambda message: False
    strike: Strike = kill_before
    times: int = 1
    """How often to strike, at most."""
    rewrite: Callable[[str], str] | None = None
    """Puts other SQL in the place of what a client sends."""
    messages: list[Message] = field(default_factory=list)
    """All that were sent, in order."""
    fired: int = 0

    def __enter__(self) -> "Interposer":
        self._lock = threading.Lock()
        self._sessions: list[Session] = []
        self._failures: list[BaseException] = []
        self.folder.mkdir()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / self.server.name))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for session in self._sessions:
            session.cut()
        if self._failures:
            raise self._failures[0]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self.server))
            except OSError:  # the server is down: so are we
                client.close()
                continue
            session = Session(client, server, len(self._sessions) + 1)
            self._sessions.append(session)
            threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _serve(self, session: Session) -> None:
        try:
            self._pump(session)
        except (OSError, ValueError):  # either side is gone, or was cut
            pass
        except BaseException as failure:  # a strike's own: for the test to see
            self._failures.append(failure)
        finally:
            session.cut()

    def _pump(self, session: Session) -> None:
        waiting = b""
        is_started = False
        while True:
            readable, _, _ = select.select([session.client, session.server], [], [])
            if session.server in readable:
                data = session.server.recv(65_536)
                if not data:
                    return
                session.client.sendall(data)
            if session.client in readable:
                data = session.client.recv(65_536)
                if not data:
                    return
                waiting += data
                while (size := _size(waiting, is_started)) and len(waiting) >= size:
                    session.raw, waiting = waiting[:size], waiting[size:]
                    self._handle(session, is_started)
                    is_started = True

    def _handle(self, session: Session, is_started: bool) -> None:
        kind = session.raw[:1].decode() if is_started else "^"
        if not is_started and struct.unpack("!i", session.raw[4:8])[0] == _CANCEL_REQUEST:
            session.deliver()
            return
        text = session.raw[5:].strip(b"\0").decode(errors="replace") if kind in "QP" else ""
        if kind == "Q" and self.rewrite is not None:
            text = self.rewrite(text)
            body = text.encode() + b"\0"
            session.raw = b"Q" + struct.pack("!i", len(body) + 4) + body
        with self._lock:
            message = Message(
                number=len(self.messages) + 1, kind=kind, text=text, session=session.number
            )
            self.messages.append(message)
            is_struck = self.fired < self.times and self.where(message)
            self.fired += is_struck
        if is_struck:
            self.strike(session)
        if session.raw:
            session.deliver()


def _size(waiting: bytes, is_started: bool) -> int:
    """Return the size of the first message waiting, 0 while too little of it is there."""
    head = 1 if is_started else 0
    if len(waiting) < head + 4:
        return 0
    return int(head + struct.unpack("!i", waiting[head : head + 4])[0])
