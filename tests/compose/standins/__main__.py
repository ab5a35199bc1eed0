"""`make compose-test`: runs the unchanged Compose files where the official images cannot be pulled, and follows one request through them.

`python -m tests.compose.standins test [base] [demo] [tls] [scrape-only]` starts a Docker daemon of
its own, makes stand-ins for the images out of the natively built binaries, builds the gateway's
image with the unchanged Dockerfile, brings each set of files up and down, and removes it all. Needs
Linux, root, Go (or the built binaries) and the programs that it names when they are missing.
Grafana, which cannot be built from Go modules, is left out by its profile. Exit code 0: all was
found; 1: something was not, or could not be done; 2: usage.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from compose.certificates import FILES, FOLDER, make_certificates
from compose.native.build import BuildError, build, cache_folder
from compose.native.programs import DOCKER_COMPOSE, SERVERS
from compose.native.servers import ROOT
from tests.compose.standins import checks
from tests.compose.standins.daemon import DaemonError, check_machine, running_daemon
from tests.compose.standins.images import STAND_INS, import_stand_in
from tests.compose.standins.python_image import image_of_dockerfile, make_python_image
from tests.compose.standins.stack_run import StackFailedError, running_stack


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One set of files and what is checked on it."""

    check: checks.Check
    overlays: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    settings: Mapping[str, str] = {}


CASES: Final = {
    "base": Case(check=checks.base),
    "demo": Case(check=checks.demo, overlays=("compose.demo.yaml",), profiles=("demo",), settings={"DEMO_SEED": "7"}),
    "tls": Case(
        check=checks.tls, overlays=("compose.tls.yaml",), settings={"COLLECTOR_TOKEN": "made-up-for-this-test"}
    ),
    "scrape-only": Case(check=checks.scrape_only, overlays=("compose.scrape-only.yaml",)),
}
_SETTINGS: Final = {"OTEL_METRIC_EXPORT_INTERVAL": "1000"}
"""Shorter than the default of fifteen seconds; everything else is the default."""


def main(arguments: Sequence[str]) -> int:
    """Run the chosen cases."""
    if not arguments or arguments[0] != "test" or not set(arguments[1:]) <= CASES.keys():
        print(__doc__, file=sys.stderr)
        return 2
    chosen = arguments[1:] or list(CASES)
    # Told to end, it still removes what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        check_machine()
        binaries = build((*SERVERS, DOCKER_COMPOSE), cache_folder(), _say)
        with running_daemon(Path(tempfile.mkdtemp(prefix="gatewayz-compose-"))) as environ:
            _make_images(binaries, environ, ("gateway", "upstream") if "demo" in chosen else ("gateway",))
            for name in chosen:
                _run_case(name, CASES[name], [str(binaries["docker-compose"])], environ)
    except (BuildError, DaemonError, StackFailedError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else error.stderr or ""
        _say(f"{error}\n{said[-3_000:]}")
        return 1
    print(f"{len(chosen)} passed, 0 failed")
    return 0


def _make_images(binaries: Mapping[str, Path], environ: Mapping[str, str], built_services: Sequence[str]) -> None:
    """Make every image that the files name but Grafana's; those of `built_services` by the Dockerfile."""
    began = time.monotonic()
    command = [
        str(binaries["docker-compose"]),
        "--env-file",
        "/dev/null",
        "--file",
        str(ROOT / "compose" / "compose.yaml"),
    ]
    command += [
        "--file",
        str(ROOT / "compose" / "compose.demo.yaml"),
        "--profile",
        "demo",
        "config",
        "--format",
        "json",
    ]
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=True)
    services = msgspec.json.decode(done.stdout)["services"]
    for name, stand_in in STAND_INS.items():
        import_stand_in(stand_in, services[name]["image"], binaries, environ)
    _say(f"stand-ins for {', '.join(STAND_INS)} made in {time.monotonic() - began:.0f} s")
    make_python_image(image_of_dockerfile(ROOT / "Dockerfile"), cache_folder(), environ, _say)
    for service in built_services:
        began = time.monotonic()
        target, image = services[service]["build"]["target"], services[service]["image"]
        build_image = ["docker", "build", "--network", "host", "--target", target, "--tag", image, str(ROOT)]
        built = subprocess.run(build_image, env=dict(environ), capture_output=True, text=True, check=False)
        if built.returncode:
            raise StackFailedError(f"{' '.join(build_image)}:\n{built.stdout[-3_000:]}\n{built.stderr[-3_000:]}")
        inspect = ["docker", "image", "inspect", "--format", "{{.Size}}", image]
        size = subprocess.run(inspect, env=dict(environ), capture_output=True, text=True, check=True).stdout
        _say(
            f"{image} built by the Dockerfile in {time.monotonic() - began:.0f} s, {int(size) / 1e6:.0f} MB with its base"
        )


def _run_case(name: str, case: Case, compose: Sequence[str], environ: Mapping[str, str]) -> None:
    """Bring one set of files up, check it, bring it down."""
    makes_certificates = "compose.tls.yaml" in case.overlays and make_certificates(FOLDER)
    began = time.monotonic()
    try:
        settings = {**_SETTINGS, **case.settings}
        with running_stack(compose, environ, overlays=case.overlays, profiles=case.profiles, settings=settings) as run:
            _say(f"{name}: up and healthy after {time.monotonic() - began:.0f} s")
            for line in case.check(run):
                _say(f"{name}: {line}")
        _say(f"{name}: passed; down after {time.monotonic() - began:.0f} s")
    except StackFailedError as error:
        raise StackFailedError(f"{name}: {error}") from error
    finally:
        if makes_certificates:
            for file in FILES:
                (FOLDER / file).unlink()
            FOLDER.rmdir()


def _say(text: str) -> None:
    print(f"compose-test: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
