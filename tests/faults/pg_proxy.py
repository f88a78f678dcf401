"""A proxy between a command and PostgreSQL that can inject a fault at any one message.

It listens on a unix socket, parses enough of the protocol to tell messages apart, and forwards
them. A fault runs before its message is delivered, so that it happens exactly between two
statements: no sleeping, no tracing, no change of the code under test. The kernel tells the process
id of a client, so that a kill hits the process that sent the message, also when several work
together.
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
    """One message of a client, as PostgreSQL's protocol frames them."""

    number: int
    """1 for the first message of all clients together."""
    kind: str
    """The protocol's letter, such as Q for a query and d for a part of a COPY; ^ for startup."""
    text: str
    """The SQL of a query, otherwise empty."""
    session: int
    """1 for the first connection."""

    def __str__(self) -> str:
        return f"{self.number}:{self.kind} {' '.join(self.text.split())[:60]}".rstrip()


class Session:
    """A client's connection to the proxy, and the proxy's connection to the server for it."""

    def __init__(self, client: socket.socket, server: socket.socket, number: int) -> None:
        self.client = client
        self.server = server
        self.number = number
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.pid: int = struct.unpack("3i", credentials)[0]
        self.raw = b""  # the current message

    def deliver(self) -> None:
        """Send the current message to the server."""
        raw, self.raw = self.raw, b""
        self.server.sendall(raw)

    def deliver_without_reply(self) -> None:
        """Deliver the current message, wait for the server's reply, and withhold it.

        Parts of a COPY have no reply of their own.
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
        """Send the client process a signal."""
        os.kill(self.pid, signum)

    def cut(self) -> None:
        """Close the connection on both sides."""
        for end in (self.client, self.server):
            end.close()


Action = Callable[[Session], None]
"""What happens at a message. The message is delivered afterwards unless the action has done so."""


def kill_before(session: Session) -> None:
    """Kill the process before the server receives the message."""
    session.kill()
    session.cut()


def cut_before(session: Session) -> None:
    """Close the connection before the server receives the message."""
    session.raw = b""
    session.cut()


def kill_after(session: Session) -> None:
    """Kill the process after the server has executed the message, before the reply arrives."""
    session.deliver_without_reply()
    session.kill()
    session.cut()


def interrupt(session: Session) -> None:
    """Send SIGINT while the process waits for the reply."""
    session.kill(signal.SIGINT)


def terminate(session: Session) -> None:
    """Send SIGTERM while the process waits for the reply."""
    session.kill(signal.SIGTERM)


def lose_reply(session: Session) -> None:
    """Close the connection after the server has executed the message, before the reply arrives."""
    session.deliver_without_reply()
    session.cut()


@dataclass
class PgProxy:
    """A proxy for the server that listens at `server`; use it as a context manager."""

    server: Path
    """The server's socket."""
    folder: Path
    """A new folder, for the socket of the proxy."""
    where: Callable[[Message], bool] = lambda message: False
    """Whether the action happens at a message."""
    action: Action = kill_before
    times: int = 1
    """How often the action happens, at most."""
    rewrite: Callable[[str], str] | None = None
    """Replaces the SQL that a client sends."""
    messages: list[Message] = field(default_factory=list)
    """All messages, in order."""
    fired: int = 0
    """How often the action has happened."""

    def __enter__(self) -> "PgProxy":
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
            except OSError:  # the server is down, so the proxy is too
                client.close()
                continue
            session = Session(client, server, len(self._sessions) + 1)
            self._sessions.append(session)
            threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _serve(self, session: Session) -> None:
        try:
            self._forward(session)
        except (OSError, ValueError):  # either side has closed, or was cut
            pass
        except BaseException as failure:  # of the action; the test has to see it
            self._failures.append(failure)
        finally:
            session.cut()

    def _forward(self, session: Session) -> None:
        pending = b""
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
                pending += data
                while (size := _size(pending, is_started)) and len(pending) >= size:
                    session.raw, pending = pending[:size], pending[size:]
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
            is_hit = self.fired < self.times and self.where(message)
            self.fired += is_hit
        if is_hit:
            self.action(session)
        if session.raw:
            session.deliver()


def _size(pending: bytes, is_started: bool) -> int:
    """Return the size of the first pending message, 0 if its header is incomplete."""
    header = 1 if is_started else 0
    if len(pending) < header + 4:
        return 0
    return int(header + struct.unpack("!i", pending[header : header + 4])[0])
