"""Fixtures of the tests against the real servers: their binaries, built once, and stacks on free ports."""

import os
import random
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from compose.native.build import build, cache_folder, say_on_stderr
from compose.native.ports import free_ports
from compose.native.programs import SERVERS
from compose.native.servers import Choices
from compose.native.stack import Stack, running_stack

REPORT = Path(__file__).resolve().parents[2] / ".stack" / "report"
StackWith = Callable[..., AbstractAsyncContextManager[Stack]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the real servers."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("stack")


@pytest.fixture(scope="session")
def binaries() -> dict[str, Path]:
    """The servers' binaries by name."""
    return build(SERVERS, cache_folder(), say_on_stderr)


@pytest.fixture
def stack_with(binaries: dict[str, Path], tmp_path: Path) -> StackWith:
    """Return a context manager that runs a whole stack on free ports: `async with stack_with(choices, extra_env) as stack`."""

    @asynccontextmanager
    async def run(choices: Choices = Choices(), extra: Mapping[str, str] | None = None) -> AsyncIterator[Stack]:  # noqa: B008
        async with running_stack(binaries, tmp_path / "stack", free_ports(), choices, extra) as stack:
            yield stack

    return run


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say what was measured, on the terminal and in a file of the test's own below STACK_REPORT."""
    folder = Path(os.environ.get("STACK_REPORT") or REPORT)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{request.node.name}.txt"
    path.unlink(missing_ok=True)

    def show(text: str) -> None:
        with path.open("a") as file:
            file.write(f"{text}\n")
        if sys.__stdout__ is not None:
            sys.__stdout__.write(f"\n  {text}")
            sys.__stdout__.flush()

    return show


@pytest.fixture
def seed(say: Callable[[str], None]) -> int:
    """A seed that is said; SEED sets it."""
    number = int(os.environ.get("SEED") or 0) or random.SystemRandom().randrange(1, 1_000_000)
    say(f"SEED={number} runs the same again")
    return number
