"""The result of `gatewayz doctor --json`, where somebody stored it for the console."""

import shlex
from pathlib import Path
from typing import Final

import msgspec

from console.query.shapes.pipeline import DoctorFinding, DoctorResult

FILE_NAME: Final = "doctor.json"
MAX_FINDINGS: Final = 200
_MAX_BYTES: Final = 1_000_000


class _Check(msgspec.Struct):
    """One object of `checks`, as `app/doctor/report.py` writes them."""

    check: str
    state: str
    found: str
    fix: str = ""


class _Document(msgspec.Struct):
    checks: list[_Check]


def place_of(file: Path, home: Path | None) -> str:
    """Return where a file is, for a shell of the user that started the console; the page shows no other folder of the machine."""
    if home is not None and file.is_relative_to(home):
        return f"~/{shlex.quote(str(file.relative_to(home)))}"
    return f"FOLDER/{file.name}"


def read_doctor(file: Path) -> DoctorResult | None:
    """Return the result; None where there is none, or it cannot be read as one."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            return None
        at = file.stat().st_mtime
        document = msgspec.json.decode(file.read_bytes(), type=_Document)
    except (OSError, msgspec.DecodeError):
        return None
    findings = [
        DoctorFinding(
            status=each.state, title=each.check, detail=f"{each.found}; {each.fix}" if each.fix else each.found
        )
        for each in document.checks[:MAX_FINDINGS]
    ]
    return DoctorResult(at=at, findings=findings)
