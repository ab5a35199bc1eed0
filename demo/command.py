"""COMMAND: a run of the demo as a person sees it: a gateway at work, from nothing to a table that proves its numbers.

Comes in: DEMO_SECONDS (ends by itself), PORT, SPEED, SEED from the environment, and Ctrl-C. Goes out: a summary that refreshes, the table of
the reconciliation, an exit code: 0 if every number agrees, 1 if not, 2 if a setting makes no sense. It leaves no process running.
"""

import asyncio
import contextlib
import errno
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

import aiohttp

from demo.child import ROOT, ChildFailedError
from demo.run import run
from demo.screen import Screen
from demo.settings import SettingError, Settings, read_settings
from demo.stage import PortInUseError, check_port

_NOBODY_READS: Final = (errno.EPIPE, errno.EIO)
"""What writing to a closed pipe and to a closed terminal raises."""


async def _main(settings: Settings, screen: Screen, folder: Path) -> int:
    """Let the first signal stop the traffic and the second end everything; further ones change nothing. A closed terminal ends all."""
    stop, watched, ending = asyncio.Event(), asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(run(settings, screen, folder, stop=stop, watched=watched))

    def on_signal() -> None:
        if watched.is_set() and not stop.is_set():
            stop.set()
            screen.say("demo: stopping (once more: at once)")
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


def main() -> int:
    """Run the demo with the settings of the environment."""
    screen = Screen(sys.stdout, is_terminal=sys.stdout.isatty())
    try:
        settings = read_settings(os.environ, new_seed=random.SystemRandom().randrange(1_000_000))
        check_port(settings.port)
    except (SettingError, PortInUseError) as error:
        _complain(str(error))
        return 2 if isinstance(error, SettingError) else 1
    runs = ROOT / ".demo"
    runs.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=runs))
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
        if error.errno not in _NOBODY_READS:
            raise
        # What is left in Python's buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if keeps_folder:
        _complain(f"logs and database are in {folder}")
    else:
        shutil.rmtree(folder)
    return exit_code


def _complain(text: str) -> None:
    """Print a line on stderr, where somebody still reads it."""
    with contextlib.suppress(OSError):
        print(f"demo: {text}", file=sys.stderr)
