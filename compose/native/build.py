"""Builds the real servers from the Go module proxy, once per set of build files.

Sources are built unchanged. All checkouts share the cache: a lock per program lets one build while the others wait. A
build that was interrupted leaves nothing that looks finished.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from compose.native.programs import GO_MINIMUM, Program

_PROGRESS_SECONDS: Final = 15.0
_LAST_LINES: Final = 15
_OCB: Final = "go.opentelemetry.io/collector/cmd/builder"
_GO_VERSION: Final = re.compile(r"go(\d+)\.(\d+)")

Say = Callable[[str], None]


class BuildError(RuntimeError):
    """A program could not be built; the message says what to do."""


def cache_folder() -> Path:
    """Return where binaries are kept: `GATEWAYZ_CACHE`, or the user's cache folder."""
    own = os.environ.get("GATEWAYZ_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatewayz-observability"


def find_go() -> str:
    """Return the `go` command; raises `BuildError` where there is none, or one that is too old."""
    wanted = ".".join(map(str, GO_MINIMUM))
    go = shutil.which("go")
    if go is None:
        raise BuildError(
            f"the native servers are built with Go {wanted} or newer, and there is no `go` on PATH; see https://go.dev/doc/install"
        )
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = _GO_VERSION.search(said)
    if found is None or (int(found[1]), int(found[2])) < GO_MINIMUM:
        raise BuildError(f"the native servers are built with Go {wanted} or newer; this is: {said.strip() or go}")
    return go


def missing(programs: Sequence[Program], cache: Path) -> list[Program]:
    """Return the programs that are not in the cache."""
    return [program for program in programs if not _is_built(program, cache)]


def binaries_folder(program: Program, cache: Path) -> Path:
    """Return where a program's binaries are, once they are built."""
    return cache / "native" / f"{program.name}-{program.key()}"


def build(programs: Sequence[Program], cache: Path, say: Say) -> dict[str, Path]:
    """Build what is missing, one after the other; return the path of each binary by its name. Raises `BuildError`."""
    todo = missing(programs, cache)
    if todo:
        go = find_go()
        seconds = sum(program.cold_seconds for program in todo)
        say(
            f"building {', '.join(program.name for program in todo)}: about {seconds / 60:.0f} min on 2 cores the first time, then never again"
        )
        for number, program in enumerate(todo, 1):
            with _lock(cache, program):
                if not _is_built(program, cache):
                    _build_one(go, program, cache, partial(_say_place, say, f"{number}/{len(todo)}"))
    return {name: binaries_folder(program, cache) / name for program in programs for name in program.binaries}


def _say_place(say: Say, place: str, text: str) -> None:
    say(f"{place} {text}")


def _is_built(program: Program, cache: Path) -> bool:
    folder = binaries_folder(program, cache)
    return all((folder / name).is_file() for name in program.binaries)


@contextmanager
def _lock(cache: Path, program: Program) -> Iterator[None]:
    """Let one process at a time build a program; the lock ends with the process."""
    (cache / "native").mkdir(parents=True, exist_ok=True)
    with (cache / "native" / f"{program.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build_one(go: str, program: Program, cache: Path, say: Say) -> None:
    """Build into a folder of its own, and move that to its place when it is whole."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cache / "native", prefix=f".{program.name}-") as scratch:
        sources, out = Path(scratch, "sources"), Path(scratch, "bin")
        shutil.copytree(program.folder, sources)
        out.mkdir()
        if program.builder:
            _generate(go, program, sources, cache, say)
            command = [
                go,
                "build",
                "-tags",
                program.tags,
                "-trimpath",
                "-ldflags",
                "-s -w",
                "-o",
                f"{out}/{program.binaries[0]}",
                ".",
            ]
        else:
            command = [
                go,
                "build",
                "-mod=readonly",
                "-tags",
                program.tags,
                "-trimpath",
                "-ldflags",
                "-s -w",
                "-o",
                f"{out}/",
                "tool",
            ]
        _run(command, sources, f"{program.name} (about {program.cold_seconds} s)", say)
        for made, name in program.renamed:
            (out / made).rename(out / name)
        target = binaries_folder(program, cache)
        shutil.rmtree(target, ignore_errors=True)
        out.rename(target)
    say(f"{program.name} built in {time.monotonic() - began:.0f} s")


def _generate(go: str, program: Program, sources: Path, cache: Path, say: Say) -> None:
    """Let OCB write the Collector's main package; the committed `go.mod` and `go.sum` pin what goes into it."""
    tools = cache / "native" / f"ocb-{program.builder}"
    if not (tools / "builder").is_file():
        _run(
            [go, "install", f"{_OCB}@{program.builder}"], sources, "the Collector's builder", say, {"GOBIN": str(tools)}
        )
    _run(
        [str(tools / "builder"), "--config", "manifest.yaml", "--skip-compilation", "--skip-get-modules"],
        sources,
        "the Collector's sources",
        say,
    )
    generated = next(path.parent for path in sources.rglob("main.go"))
    for path in generated.iterdir():
        if path.suffix == ".go":
            path.rename(sources / path.name)


def _run(command: Sequence[str], folder: Path, what: str, say: Say, environ: dict[str, str] | None = None) -> None:
    """Run a command to its end, with a sign of life now and then; raises `BuildError` with its last lines."""
    say(f"building {what}")
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        env = {**os.environ, "CGO_ENABLED": "0", **(environ or {})}
        process = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            while True:
                try:
                    code = process.wait(_PROGRESS_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    say(f"building {what}: {time.monotonic() - began:.0f} s so far")
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if code:
            output.seek(0)
            said = "\n".join(output.read().decode(errors="replace").splitlines()[-_LAST_LINES:])
            raise BuildError(f"building {what} failed (exit code {code}):\n{said}")


def say_on_stderr(text: str) -> None:
    """Print a line of progress."""
    print(f"stack: {text}", file=sys.stderr, flush=True)
