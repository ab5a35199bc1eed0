"""The command line of the demo: options, signals, exit code.

Exit code 0: all counts agree. 1: a count differs, or the demo could not run. 2: a setting is invalid. No
process is left running.
"""

import argparse
import asyncio
import contextlib
import errno
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from demo.console import PORT as CONSOLE_PORT
from demo.environment import PortInUseError, check_port
from demo.output.screen import Screen
from demo.process import ROOT, ChildFailedError
from demo.run import run
from demo.scenarios import SCENARIOS
from demo.settings import DEFAULT_PORT, SettingError, Settings, read_settings
from demo.traffic.arrivals import DEFAULT_SPEED

_ENVIRONMENT: Final = f"""environment:
  DEMO_SECONDS  end after so many seconds (default: at Ctrl-C)
  PORT          the gateway's port (default {DEFAULT_PORT}; 0: any free one)
  SPEED         how many times the recorded pace (default {DEFAULT_SPEED:g})
  SEED          which traffic; the same number gives the same again
  SCENARIO      {", ".join(SCENARIOS)} (docs/scenarios.md)
  CONSOLE_PORT  the console's port (default {CONSOLE_PORT}; 0: any free one); with OTEL_EXPORTER_OTLP_ENDPOINT set there is no console
  DEMO_ALL      1: as --all

exit code: 0 every number agrees; 1 a difference, or the demo could not run; 2 a setting or an argument is invalid"""
_CLOSED_STREAM: Final = (errno.EPIPE, errno.EIO)
"""What writing to a closed pipe and to a closed terminal raises."""


async def _main(settings: Settings, screen: Screen, folder: Path) -> int:
    """Let the first signal stop the traffic and the second end everything; further ones change nothing. A closed terminal ends all."""
    stop, watched, ending = asyncio.Event(), asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(run(settings, screen, folder, stop=stop, watched=watched))

    def on_signal() -> None:
        if watched.is_set() and not stop.is_set():
            stop.set()
            screen.say("demo: stopping; a second signal ends it at once")
        elif not ending.is_set():
            # Once only: a second cancellation would cut short how the processes are ended.
            ending.set()
            screen.say("demo: ending its processes")
            running.cancel()

    def on_hangup() -> None:
        if not ending.is_set():
            ending.set()
            running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
    return await running


def main(arguments: Sequence[str] = ()) -> int:
    """Run the demo with the settings of the environment."""
    options = _parser().parse_args(arguments)
    screen = Screen(sys.stdout, is_terminal=sys.stdout.isatty())
    try:
        settings = read_settings(os.environ, new_seed=random.SystemRandom().randrange(1_000_000))
        check_port(settings.port)
        if settings.console_port is not None:
            check_port(settings.console_port, "CONSOLE_PORT=8101")
    except (SettingError, PortInUseError) as error:
        _complain(str(error))
        return 2 if isinstance(error, SettingError) else 1
    if options.all:
        settings = msgspec.structs.replace(settings, shows_all=True)
    runs = ROOT / ".demo"
    try:
        runs.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=runs))
    except OSError as error:
        _complain(
            f"cannot create a folder for the run's files in {runs}: {error.strerror}; run the demo from a writable tree"
        )
        return 1
    exit_code = 1
    keeps_folder = False
    try:
        exit_code = asyncio.run(_main(settings, screen, folder))
        keeps_folder = exit_code != 0
    except asyncio.CancelledError:
        _complain("ended before its numbers could be compared")
    except (PortInUseError, ChildFailedError, aiohttp.ClientError) as error:
        _complain(str(error))
        keeps_folder = True
    except OSError as error:
        if error.errno not in _CLOSED_STREAM:
            raise
        # What is left in Python's buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if keeps_folder:
        _complain(f"logs and database are in {folder}")
    else:
        shutil.rmtree(folder)
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Run a gateway, scripted upstreams, a real local model and replayed traffic on loopback until Ctrl-C,"
        " then compare what the traffic program counted with what the gateway reports.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--all", action="store_true", help="at the end print the lines that agree, too (DEMO_ALL=1)")
    return parser


def _complain(text: str) -> None:
    """Print a line on stderr, unless stderr is closed."""
    with contextlib.suppress(OSError):
        print(f"demo: {text}", file=sys.stderr)
