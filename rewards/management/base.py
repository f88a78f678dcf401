"""The base class of the commands: report, progress, errors and exit codes."""

import argparse
import errno
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import date
from types import FrameType
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from rewards.choices import MAX_POINTS, MAX_THRESHOLD, MIN_POINTS, MIN_THRESHOLD, RuleType
from rewards.engine.business_days import (
    FIRST_DAY,
    FIRST_MONDAY,
    ONE_DAY,
    days_between,
    parse_day,
)
from rewards.engine.periods import require_range
from rewards.exceptions import RewardsError, UsageError
from rewards.management.database import sentence
from rewards.services.db_errors import interruption

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def day(text: str, *, first: date = FIRST_DAY) -> date:
    """Read a date given on the command line."""
    try:
        return parse_day(text, first=first)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def reference_date(text: str) -> date:
    """Read a business day or a Monday, which may be that of the week of FIRST_DAY."""
    return day(text, first=FIRST_MONDAY)


def whole_number(*, min_value: int, max_value: int) -> Callable[[str], int]:
    """Return a parser of whole numbers in digits 0-9, limits included."""

    def read(text: str) -> int:
        if (
            text.isascii()
            and text.isdigit()
            and len(text) <= 12
            and min_value <= int(text) <= max_value
        ):
            return int(text)
        raise argparse.ArgumentTypeError(
            f"not a whole number (digits 0-9) from {min_value:,} to {max_value:,}: {text!a:.80}"
        )

    return read


def add_rule_arguments(parser: CommandParser) -> None:
    """Add the rule type, the threshold and the points of a rule version."""
    parser.add_argument("type", choices=RuleType.values, metavar="TYPE", help="%(choices)s")
    parser.add_argument(
        "--threshold",
        type=whole_number(min_value=MIN_THRESHOLD, max_value=MAX_THRESHOLD),
        required=True,
        help="count at which the rule pays",
    )
    parser.add_argument(
        "--points",
        type=whole_number(min_value=MIN_POINTS, max_value=MAX_POINTS),
        required=True,
        help="points that it pays",
    )


class RewardsCommand(BaseCommand):
    """Parse, call one service, report: as text, or as one JSON object with `--format json`.

    A RewardsError ends the command with its sentence and its exit code, a signal with 130 or
    143. Nothing but errors is printed or logged at verbosity 0.
    """

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument(
            "--format", choices=["text", "json"], default="text", help="default: %(default)s"
        )
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        self.is_json: bool = options["format"] == "json"
        self.is_quiet: bool = options["verbosity"] == 0
        self._is_bar_open = False
        before = signal.signal(signal.SIGTERM, _end)
        logger = logging.getLogger("rewards")
        level = logger.level
        if self.is_quiet:
            logger.setLevel(logging.ERROR)
        try:
            result = super().execute(*args, **options)
            self.stdout.flush()
            return result
        except BrokenPipeError:
            # The reader has ended, as in `export_history | head`.
            _discard_output()
            sys.exit(128 + signal.SIGPIPE)
        except OSError as error:
            if error.errno not in DISK_ERRORS or error.filename is not None:
                raise
            # Files have a name; this is the output. The flush at the end would fail again.
            _discard_output()
            raise CommandError(
                f"The output cannot be written: {error.strerror}. What was stored is kept; it is "
                "safe to run the command again."
            ) from error
        except RewardsError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        except KeyboardInterrupt as error:
            raise _ended_by(error) from None
        except (DatabaseError, InterfaceError) as error:
            if (interrupt := interruption(error)) is not None:
                raise _ended_by(interrupt) from None
            message = sentence(error)
            if message is None:
                raise
            raise CommandError(message) from error
        finally:
            logger.setLevel(level)
            signal.signal(signal.SIGTERM, before)
            if self._is_bar_open:
                self.stderr.write("")

    def report(self, text: str, data: dict[str, Any]) -> None:
        """Print the result: `text`, or `data` as JSON."""
        if self.is_quiet:
            return
        self.stdout.write(json.dumps(data) if self.is_json else text)

    @property
    def is_watched(self) -> bool:
        """Whether progress is visible: standard error is a terminal."""
        return not self.is_quiet and sys.stderr.isatty()

    def progress(self, label: str) -> Callable[[int, int], None]:
        """Return a function of (done, total) that draws a bar on standard error, if a terminal."""

        def draw(done: int, total: int) -> None:
            if not self.is_watched:
                return
            share = done / max(total, 1)
            filled = int(30 * share)
            bar = "#" * filled + "." * (30 - filled)
            self._is_bar_open = done < total
            end = "" if self._is_bar_open else "\n"
            # A style of its own, or it would be as red as an error.
            line = f"\r{label} [{bar}] {int(100 * share):3} %"
            self.stderr.write(line, style_func=str, ending=end)

        return draw


def date_range(
    *, single: date | None, first: date | None, last: date | None, default: date, option: str
) -> list[date]:
    """Return the dates of the option `single`, or of `--from` to `--to`, else the default."""
    if single is not None and (first is not None or last is not None):
        raise UsageError(f"Choose one: {option}, or --from with --to.")
    if (first is None) != (last is None):
        raise UsageError("--from and --to are used together.")
    if first is None or last is None:
        return [single or default]
    require_range(first, last)
    return list(days_between(first, last, ONE_DAY))


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Terminated(KeyboardInterrupt):
    """SIGTERM. As for Ctrl-C, psycopg cancels the running statement."""


def _end(signum: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _ended_by(interrupt: KeyboardInterrupt) -> CommandError:
    if isinstance(interrupt, _Terminated):
        return CommandError("Terminated; safe to run again.", returncode=143)
    return CommandError("Interrupted; safe to run again.", returncode=130)
