import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connections

from localservers.broker import LocalBroker, LocalBrokerError
from rewards.models import Host

Process = subprocess.Popen[bytes]

PATIENCE = 10  # seconds a program may take to end before it is killed


class Command(BaseCommand):
    help = "Run web, worker, beat and a private broker together until Ctrl-C stops them all."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port", type=_port, default=8000, help="of the web; 0 is any; default: %(default)s"
        )

    def handle(self, *, port: int, verbosity: int, **_: Any) -> None:
        if not settings.DEBUG:
            raise CommandError(
                "dev is for trials, and DEBUG is off: run gunicorn, a worker and beat, "
                "as the README says under Production.",
                returncode=2,
            )
        self.is_quiet = verbosity == 0
        self._prepare_database()

        received: list[int] = []
        for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(stop, lambda signum, frame: received.append(signum))
        with ExitStack() as stack:
            running: dict[str, Process] = {}
            try:
                if settings.BROKER_IS_PRIVATE:
                    broker = LocalBroker(Path(settings.LOCALDB_DIR, "broker"))
                    running["broker"] = stack.enter_context(broker.running())
            except LocalBrokerError as error:
                raise CommandError(str(error)) from error
            # Stopped in reverse order: beat, then the worker, while they still have a broker.
            for name, command in _programs(port).items():
                running[name] = stack.enter_context(_running(command, self._teller(name)))
            while not received:
                for name, process in running.items():
                    if process.poll() is not None:
                        raise CommandError(f"{name} {_end(process)}; the others were stopped.")
                time.sleep(0.1)
        sys.exit(128 + received[0])

    def _prepare_database(self) -> None:
        try:
            call_command("migrate", verbosity=0, interactive=False)
            is_empty = not Host.objects.exists()
        except OperationalError as error:
            raise CommandError(f"The database is out of reach: {error}") from error
        connections.close_all()
        if is_empty:
            self._teller("dev")("There are no hosts yet: `manage.py demo` makes some.")

    def _teller(self, name: str) -> Callable[[str], None]:
        def tell(line: str) -> None:
            if not self.is_quiet:
                self.stdout.write(f"{name:<6} | {line.rstrip()}")
                self.stdout.flush()

        return tell


def _programs(port: int) -> dict[str, list[str]]:
    celery = [sys.executable, "-m", "celery", "--quiet", "-A", "rewards_site"]
    return {
        "web": [sys.executable, "manage.py", "runserver", str(port)],
        "worker": [*celery, "worker", "--loglevel", "INFO", "--concurrency", "2"],
        "beat": [*celery, "beat", "--loglevel", "INFO"],
    }


@contextmanager
def _running(command: list[str], tell: Callable[[str], None]) -> Iterator[Process]:
    """Run a program until the block ends, with all the processes it makes."""
    process = subprocess.Popen(  # noqa: S603 - the project's own programs
        command,
        cwd=settings.BASE_DIR,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "DJANGO_RUNSERVER_HIDE_WARNING": "true"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches us alone, and we end them in order
    )
    relay = Thread(target=_relay, args=(process.stdout, tell), daemon=True)
    relay.start()
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it left behind
        process.wait()
        relay.join(PATIENCE)


def _relay(lines: IO[bytes], tell: Callable[[str], None]) -> None:
    for line in lines:
        tell(line.decode(errors="replace"))


def _end(process: Process) -> str:
    code = process.returncode
    return f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text[:6]) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!a:.80} is not a port, 0 to 65535")
