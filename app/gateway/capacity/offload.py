"""Runs functions of large JSON without holding up the event loop.

Input: a module-level function, the bytes it works on, small picklable arguments. Output: its
result. Decoders hold the interpreter's lock, so a thread would not help: what is not certain to be
quick runs in a child process (`offload_worker.py`), which is started when it is first needed, ends
when it was idle for a while, and is replaced when it dies. For one event loop.
"""

import asyncio
import contextlib
import logging
import os
import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, TypeVar, TypeVarTuple, Unpack

from app.gateway.capacity.fair_lock import FairLock
from app.gateway.capacity.offload_worker import LENGTH_BYTES
from app.gateway.json_bounds import is_light

Arguments = TypeVarTuple("Arguments")
T = TypeVar("T")

Lane: TypeAlias = Literal["requests", "responses"]
Reason: TypeAlias = Literal["memory", "timeout", "died"]

_LOGGER = logging.getLogger(__name__)
_ROOT: Final = str(Path(__file__).resolve().parents[3])
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from app.gateway.capacity.offload_worker import main; main()"
)
_ENVIRON: Final = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
_PIECE_BYTES: Final = 256 * 1024
_TRIES: Final = 2
_MIB: Final = 1024 * 1024
# Address space of the program, and copies. A request is copied for lone surrogates in it, a response for NaN and the like.
_MEMORY: Final[Mapping[Lane, tuple[int, int]]] = MappingProxyType(
    {"requests": (34 * _MIB, 4), "responses": (34 * _MIB, 2)}
)
_USUAL_BYTES: Final[Mapping[Lane, int]] = MappingProxyType({"requests": 10 * _MIB, "responses": 64 * _MIB})


class OffloadError(Exception):
    """The work could not be done: it needed too much memory or time, or its process died twice."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def memory_bytes(lane: Lane, largest_bytes: int) -> int:
    """Return how much memory a child process may have: for its program, and for so many copies of the largest text as reading one takes."""
    program_bytes, copies = _MEMORY[lane]
    return program_bytes + copies * largest_bytes


class Offload:
    """One child process for requests and one for responses, so that neither waits for the other; `largest_bytes` of each."""

    def __init__(
        self,
        *,
        largest_bytes: Mapping[Lane, int] = _USUAL_BYTES,
        deadline_seconds: float = 30.0,
        idle_seconds: float = 60.0,
    ) -> None:
        self._largest_bytes = largest_bytes
        self._workers: dict[Lane, _Worker] = {}
        self._deadline_seconds = deadline_seconds
        self._idle_seconds = idle_seconds

    async def run(
        self,
        lane: Lane,
        owner: str,
        function: Callable[[bytes, Unpack[Arguments]], T],
        text: bytes,
        *args: *Arguments,
    ) -> T:
        """Return `function(text, *args)`; raises what it raises, or `OffloadError`. Owners of work take turns."""
        if is_light(text):
            return function(text, *args)
        worker = self._workers.get(lane)
        if worker is None:
            worker = self._workers[lane] = _Worker(
                lane, memory_bytes(lane, self._largest_bytes[lane]), self._idle_seconds
            )
        result: T = await worker.run(owner, function, text, args, self._deadline_seconds)
        return result

    async def close(self) -> None:
        """End the processes."""
        for worker in self._workers.values():
            await worker.close()

    def pids(self) -> dict[Lane, int]:
        """Return the processes that run now."""
        return {lane: worker.pid for lane, worker in self._workers.items() if worker.pid is not None}


class _Worker:
    """One child process, one piece of work at a time; owners take turns."""

    def __init__(self, lane: Lane, memory_bytes: int, idle_seconds: float) -> None:
        self._lane = lane
        self._memory_bytes = memory_bytes
        self._idle_seconds = idle_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._is_closed = False
        self._turn = FairLock()
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def run(
        self, owner: str, function: Callable[..., Any], text: bytes, args: tuple[Any, ...], deadline_seconds: float
    ) -> Any:
        """Have the work done; a process that died is replaced once."""
        header = pickle.dumps((function.__module__, function.__qualname__, args))
        async with self._turn.of(owner):
            self._stop_timer()
            for tried in range(1, _TRIES + 1):
                try:
                    async with asyncio.timeout(deadline_seconds):
                        kind, value = await self._exchange(header, text)
                    break
                except TimeoutError:
                    await self._fail("timeout")
                except (OSError, EOFError, pickle.UnpicklingError):
                    if tried == _TRIES:
                        await self._fail("died")
                    await self._kill()
                except BaseException:
                    # The waiting task was cancelled in the middle of the exchange.
                    await asyncio.shield(self._kill())
                    raise
            if kind == "memory":
                # What is left of its memory is fragmented.
                await self._fail("memory")
            self._idle_timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._end_idle)
        if kind == "error":
            # A frame that keeps the exception whose traceback holds it keeps its body too, until the garbage collector comes by.
            raise _error(*value)
        return value

    async def close(self) -> None:
        """End the process; no other is started."""
        self._is_closed = True
        self._stop_timer()
        await self._kill()

    async def _exchange(self, header: bytes, text: bytes) -> tuple[str, Any]:
        """Send one piece of work and return the reply."""
        process = self._process
        if self._is_closed:
            raise EOFError
        if process is None or process.returncode is not None:
            process = self._process = await self._start()
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise EOFError
        stdin.write(len(header).to_bytes(LENGTH_BYTES, "big") + header + len(text).to_bytes(LENGTH_BYTES, "big"))
        view = memoryview(text)
        for start in range(0, len(text), _PIECE_BYTES):
            stdin.write(bytes(view[start : start + _PIECE_BYTES]))
            await stdin.drain()
        size = int.from_bytes(await stdout.readexactly(LENGTH_BYTES), "big")
        reply: tuple[str, Any] = pickle.loads(await stdout.readexactly(size))  # noqa: S301  written by the gateway itself
        return reply

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-c",
            _PROGRAM,
            _ROOT,
            str(self._memory_bytes),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRON if name in os.environ},
            start_new_session=True,
        )

    async def _fail(self, reason: Reason) -> None:
        """Log, end the process, and raise."""
        _LOGGER.warning("heavy work: the process for %s was replaced: %s", self._lane, reason)
        await self._kill()
        raise OffloadError(reason)

    async def _kill(self) -> None:
        """End the process at once; it holds nothing that could be lost."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _end_idle(self) -> None:
        """End a process that is idle, for its memory: it ends at the end of its stdin."""
        if not self._turn.is_held and self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def _stop_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None


def _error(cls: type[Exception], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> Exception:
    """Return the exception that the child process met."""
    error = cls.__new__(cls, *arguments)
    error.__dict__.update(attributes)
    return error
