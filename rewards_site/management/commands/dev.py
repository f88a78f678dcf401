import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError, connections

from localservers import ports
from localservers.broker import LocalBroker, LocalBrokerError
from localservers.process_group import ProcessGroup
from rewards.management.database import sentence
from rewards.models import Host, User

STOP_TIMEOUT_SECONDS = 10  # then a program is killed

Tell = Callable[[str], None]


class Command(BaseCommand):
    help = "Run web, worker, beat and a private broker together until Ctrl-C stops them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port",
            type=_port,
            default=8000,
            help="port of the web server; 0 for any free one; default: %(default)s",
        )
        parser.add_argument(
            "--noreload",
            action="store_true",
            help="do not restart the web server when code changes",
        )

    def handle(self, *, port: int, noreload: bool, verbosity: int, **_: Any) -> None:
        if not settings.DEBUG:
            raise CommandError(
                "dev is for trials, and DEBUG is off. Run gunicorn, a worker and beat instead, "
                "as the README says under Production.",
                returncode=2,
            )
        if port and not ports.is_free(port):
            raise CommandError(
                f"Port {port} is in use by {ports.listener(port)}. Stop it or choose another "
                "port with --port."
            )
        self.is_quiet = verbosity == 0
        self._prepare_database()

        received: list[int] = []
        for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(stop, lambda signum, frame: received.append(signum))
        relays: list[Thread] = []
        try:
            # At the end the group kills what a program has left behind.
            with ProcessGroup() as group, ExitStack() as stack:
                running: dict[str, subprocess.Popen[bytes]] = {}
                if settings.BROKER_IS_PRIVATE:
                    broker = LocalBroker(Path(settings.LOCALDB_DIR, "broker"))
                    running["broker"] = stack.enter_context(broker.running())
                # Stopped in reverse order: beat, then the worker, while they still have a broker.
                for name, command in _programs(port, noreload).items():
                    process = running[name] = _start(group, command)
                    stack.callback(_stop, process)
                    relays.append(_relay(process, self._teller(name)))
                while not received:
                    for name, process in running.items():
                        if process.poll() is not None:
                            raise CommandError(f"{name} {_end(process)}; the others were stopped.")
                    time.sleep(0.1)
        except LocalBrokerError as error:
            raise CommandError(str(error)) from error
        finally:
            for relay in relays:
                relay.join(STOP_TIMEOUT_SECONDS)
        sys.exit(128 + received[0])

    def _prepare_database(self) -> None:
        try:
            call_command("migrate", verbosity=0, interactive=False)
            has_hosts = Host.objects.exists()
            has_admin = User.objects.filter(is_superuser=True).exists()
        except (DatabaseError, InterfaceError) as error:
            message = sentence(error)
            if message is None:
                raise
            raise CommandError(message) from error
        connections.close_all()
        tell = self._teller("dev")
        tell("The admin is at /admin/, the API at /api/v1/, and its documentation at /api/v1/docs.")
        if not has_hosts:
            tell("There are no hosts yet: `manage.py demo` creates some.")
        if not has_admin:
            tell(
                "Nobody can sign in yet: `manage.py demo` creates an admin user for an empty "
                "database, `manage.py createsuperuser` for any."
            )

    def _teller(self, name: str) -> Tell:
        def tell(line: str) -> None:
            if not self.is_quiet:
                self.stdout.write(f"{name:<6} | {line.rstrip()}")
                self.stdout.flush()

        return tell


def _programs(port: int, noreload: bool) -> dict[str, list[str]]:
    celery = [sys.executable, "-m", "celery", "--quiet", "-A", "rewards_site"]
    web = [sys.executable, "manage.py", "runserver", str(port)]
    return {
        "web": [*web, "--noreload"] if noreload else web,
        "worker": [*celery, "worker", "--loglevel", "INFO", "--concurrency", "2"],
        "beat": [*celery, "beat", "--loglevel", "INFO"],
    }


def _start(group: ProcessGroup, command: list[str]) -> subprocess.Popen[bytes]:
    return group.start(
        command,
        cwd=settings.BASE_DIR,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "DJANGO_RUNSERVER_HIDE_WARNING": "true"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _relay(process: subprocess.Popen[bytes], tell: Tell) -> Thread:
    """Start a thread that passes on the output of a program, line by line."""

    def relay() -> None:
        for line in process.stdout or ():
            tell(line.decode(errors="replace"))

    thread = Thread(target=relay, daemon=True)
    thread.start()
    return thread


def _end(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text[:6]) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!a:.80} is not a port, 0 to 65535")
