"""DEMO: `python -m demo`, run by `make demo`: a gateway at work, from nothing to a table that proves its numbers.

Comes in: DEMO_SECONDS (ends by itself), PORT, SPEED, SEED from the environment, and Ctrl-C. Goes out: a summary that refreshes, the table of
the reconciliation, an exit code: 0 if every number agrees, 1 if not, 2 if a setting makes no sense. It leaves no process running.
"""

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import aiohttp

from demo.child import ROOT, ChildFailedError
from demo.run import run
from demo.screen import Screen
from demo.settings import SettingError, Settings, read_settings
from demo.stage import PortInUseError, check_port


async def _main(settings: Settings, screen: Screen, folder: Path) -> int:
    """Let the first signal stop the traffic and the second end everything; further ones change nothing."""
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

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return await running


def main() -> int:
    """Run the demo with the settings of the environment."""
    screen = Screen(sys.stdout, is_terminal=sys.stdout.isatty())
    try:
        settings = read_settings(os.environ, new_seed=random.SystemRandom().randrange(1_000_000))
        check_port(settings.port)
    except (SettingError, PortInUseError) as error:
        print(f"demo: {error}", file=sys.stderr)
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
        print("demo: ended before its numbers could be compared", file=sys.stderr)
    except BrokenPipeError:
        # Nobody reads any more. What is left in Python's buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (PortInUseError, ChildFailedError, aiohttp.ClientError) as error:
        print(f"demo: {error}", file=sys.stderr)
        keeps_folder = True
    if keeps_folder:
        print(f"demo: logs and database are in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
