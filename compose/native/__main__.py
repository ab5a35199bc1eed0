"""`make stack-native`: builds what is missing, runs the servers on loopback until Ctrl-C, and leaves nothing running.

Settings are environment variables: STACK_PORTS=free takes any free ports, STACK_DATA=DIR keeps the
data elsewhere than in `.stack/`, GATEWAY_ADDRESS is what Prometheus scrapes, WEBHOOK_URL is where
alerts go. `python -m compose.native build` only builds.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from compose.native.build import BuildError, build, cache_folder, say_on_stderr
from compose.native.ports import Ports, PortTakenError, free_ports
from compose.native.process import ServerFailedError
from compose.native.programs import SERVERS
from compose.native.servers import ROOT, Choices
from compose.native.stack import Stack, make_stack


def main(arguments: list[str]) -> int:
    """Run or build; return the exit code."""
    if arguments == ["--help"]:
        print(f"usage: python -m compose.native [build]\n\n{__doc__}", end="")
        return 0
    if arguments not in ([], ["build"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        binaries = build(SERVERS, cache_folder(), say_on_stderr)
        if arguments:
            return 0
        ports = free_ports() if os.environ.get("STACK_PORTS") == "free" else Ports()
        ports.check()
        data = Path(os.environ.get("STACK_DATA") or ROOT / ".stack").resolve()
        choices = Choices(
            gateway_address=os.environ.get("GATEWAY_ADDRESS") or Choices().gateway_address,
            webhook_url=os.environ.get("WEBHOOK_URL") or Choices().webhook_url,
        )
        return asyncio.run(_run(make_stack(binaries, data, ports, choices)))
    except (BuildError, PortTakenError, ServerFailedError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _run(stack: Stack) -> int:
    """Run until SIGINT or SIGTERM, or until a server ends by itself."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        starting = asyncio.create_task(stack.start())
        stopping = asyncio.create_task(ended.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            _show(stack, await starting)
        else:
            starting.cancel()
        while not ended.is_set():
            for name in stack.names:
                if not stack[name].is_running:
                    raise ServerFailedError(f"{name} ended:\n{stack[name].last_lines()}")
            await asyncio.wait({stopping}, timeout=1.0)
    finally:
        say_on_stderr("ending the servers (Tempo takes 5 s)")
        for name in await stack.stop():
            say_on_stderr(
                f"{name} did not end in {stack[name].server.stop_seconds:g} s and was killed: what it had in memory is lost"
            )
    return 0


def _show(stack: Stack, seconds: dict[str, float]) -> None:
    """Print what runs where, and what to do next."""
    for name in stack.names:
        print(f"  {name:13} {stack.url(name):28} ready after {seconds[name]:.1f} s")
    print(f"  data and logs {stack.data}")
    print("  now, in another terminal:")
    print(f"    OTEL_EXPORTER_OTLP_ENDPOINT={stack.url('otelcol')} make demo")
    print("  Ctrl-C ends the servers and keeps the data", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
