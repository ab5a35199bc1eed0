"""The built page's files: read once, served by exact name, never by a path on the disk.

`index.html` refers to the other files by names that contain a digest of their content, so that a
browser may keep them; it is itself checked again each time.
"""

import gzip
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from importlib import resources
from typing import Final, NamedTuple

from console.http.responses import Headers, Response

PREFIX: Final = "/static/"
_FOLDER: Final = "static"
_INDEX: Final = "index.html"
_DIGEST_CHARS: Final = 16
_IMMUTABLE: Final = (b"cache-control", b"public, max-age=31536000, immutable")
_CHECKED: Final = (b"cache-control", b"no-cache")
_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
    "json": "application/json",
}


class _File(NamedTuple):
    body: bytes
    compressed: bytes
    media_type: str
    etag: bytes
    caching: tuple[bytes, bytes]


class StaticFiles:
    """The files by the path of their URL."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Take the content by name; `index.html` is the page."""
        self._files: dict[str, _File] = {}
        index = files.get(_INDEX, b"").decode()
        for name, body in files.items():
            if name == _INDEX:
                continue
            digest = sha256(body).hexdigest()[:_DIGEST_CHARS]
            stem, _, ending = name.rpartition(".")
            hashed = f"{stem}.{digest}.{ending}"
            index = index.replace(f"static/{name}", f"static/{hashed}")
            self._files[f"{PREFIX}{name}"] = _file(name, body, _CHECKED)
            self._files[f"{PREFIX}{hashed}"] = _file(name, body, _IMMUTABLE)
        if _INDEX in files:
            self._files["/"] = _file(_INDEX, index.encode(), _CHECKED)

    def response(self, path: str, headers: Mapping[bytes, bytes]) -> Response | None:
        """Return the file at a path, or 304; None where there is none."""
        file = self._files.get(path)
        if file is None:
            return None
        shown: Headers = (file.caching, (b"etag", file.etag), (b"vary", b"accept-encoding"))
        if file.etag in {tag.strip().removeprefix(b"W/") for tag in headers.get(b"if-none-match", b"").split(b",")}:
            return Response(HTTPStatus.NOT_MODIFIED, b"", None, shown)
        if b"gzip" in headers.get(b"accept-encoding", b""):
            return Response(HTTPStatus.OK, file.compressed, file.media_type, (*shown, (b"content-encoding", b"gzip")))
        return Response(HTTPStatus.OK, file.body, file.media_type, shown)


def _file(name: str, body: bytes, caching: tuple[bytes, bytes]) -> _File:
    media_type = _MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    etag = b'"' + sha256(body).hexdigest()[:_DIGEST_CHARS].encode() + b'"'
    return _File(body, gzip.compress(body, mtime=0), media_type, etag, caching)


def packaged_files() -> dict[str, bytes]:
    """Return the built page's files by name; empty where this installation has none."""
    folder = resources.files("console").joinpath("page", _FOLDER)
    if not folder.is_dir():
        return {}
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
