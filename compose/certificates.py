"""Makes a certificate authority and the Collector's certificate: `python3 -m compose.certificates`.

`compose/certs/` or another folder gets `ca.pem` for clients, and `otelcol.pem` and `otelcol-key.pem` for the Collector,
valid for its name in the stack and for this host. Existing files are kept. The authority's key is deleted, so that no
second certificate can be made with it. Needs only the command `openssl`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent / "certs"
FILES: Final = ("ca.pem", "otelcol.pem", "otelcol-key.pem")
DAYS: Final = 825
_NAMES: Final = "subjectAltName=DNS:otelcol,DNS:localhost,IP:127.0.0.1"


class CertificateError(RuntimeError):
    """The certificates could not be made; the message says why."""


def make_certificates(folder: Path) -> bool:
    """Make what is missing, all or nothing; return False where everything was there. Raises `CertificateError`."""
    there = [name for name in FILES if (folder / name).exists()]
    if len(there) == len(FILES):
        return False
    if there:
        raise CertificateError(f"{folder} holds only {', '.join(there)}: remove it, and all are made again")
    openssl = shutil.which("openssl")
    if openssl is None:
        raise CertificateError("the command `openssl` is needed and not there")
    # On the host only the owner gets into the folder. In the container the files are mounted one by one, and read by another user.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _sign(openssl, Path(scratch))
        for name in FILES:
            Path(scratch, name).chmod(0o644)
            Path(scratch, name).rename(folder / name)
    return True


def _sign(openssl: str, folder: Path) -> None:
    """Let openssl make the three files; the key of the authority stays in this folder, which ends."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(DAYS))
    authority = ("-x509", "-subj", "/CN=Gatewayz stack", "-addext", "keyUsage=critical,keyCertSign")
    _run(openssl, folder, "req", *curve, *authority, "-keyout", "ca-key.pem", "-out", "ca.pem")
    request = ("-subj", "/CN=otelcol", "-addext", _NAMES, "-keyout", "otelcol-key.pem", "-out", "otelcol.csr")
    _run(openssl, folder, "req", *curve[:-2], *request)
    (folder / "names").write_text(f"{_NAMES}\nextendedKeyUsage=serverAuth\n")
    signed = ("-in", "otelcol.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", str(DAYS))
    _run(openssl, folder, "x509", "-req", *signed, "-extfile", "names", "-out", "otelcol.pem")


def _run(openssl: str, folder: Path, *arguments: str) -> None:
    done = subprocess.run([openssl, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CertificateError(f"openssl {arguments[0]}: {done.stderr.strip()}")


def main(arguments: list[str]) -> int:
    """Make them, and say so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=FOLDER, help="where to write them (default: compose/certs)"
    )
    folder: Path = parser.parse_args(arguments).folder
    try:
        made = make_certificates(folder)
    except CertificateError as error:
        print(f"certificates: {error}", file=sys.stderr)
        return 1
    print(f"certificates: {'made' if made else 'kept what is'} in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
