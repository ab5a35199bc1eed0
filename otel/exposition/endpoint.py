"""Serves one HTTP request for metrics, without a web framework.

It blocks while it collects and renders, so that belongs in a worker thread; what is rendered already can be had at once.
"""

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from otel.catalogue.spec import Category, MetricSpec
from otel.exposition.family import FamilyIndex
from otel.exposition.negotiation import MediaType, accepts_gzip, negotiate_media_type
from otel.exposition.shared_bytes import Selection, SeriesWriters, SharedBytes, writers_for
from otel.metrics.reader import SharedReader, Snapshot


class ExpositionResponse(msgspec.Struct, frozen=True):
    """A whole HTTP response; the headers already hold Content-Type and Content-Length."""

    status: int
    headers: dict[str, str]
    body: bytes


class Exposition:
    """Renders what `reader` collects. Safe from any thread.

    `specs` is the catalogue: the order, help texts, labels and categories of families.
    `on_collected` gets the seconds that collecting and rendering took, once per collection. `clock`
    counts seconds.
    """

    def __init__(
        self,
        reader: SharedReader,
        specs: Sequence[MetricSpec],
        *,
        on_collected: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.reader = reader
        self.specs = tuple(specs)
        self._index = FamilyIndex(self.specs)
        self._on_collected = on_collected
        self._clock = clock
        self._lock = threading.Lock()
        self._writers: SeriesWriters = {}
        self._shared = SharedBytes(-1, [], {}, {})

    def respond(
        self,
        *,
        method: str,
        accept: str | None,
        accept_encoding: str | None,
        category: Category | None = None,
        names: Sequence[str] = (),
    ) -> ExpositionResponse:
        """Respond to a GET or HEAD; a HEAD has the headers of the GET and no body.

        Unknown names give an empty exposition.
        """
        media_type = negotiate_media_type(accept)
        compress = accepts_gzip(accept_encoding)
        selection = Selection(category, frozenset(names))
        started = self._clock()
        snapshot = self.reader.snapshot()
        with self._lock:
            is_new = self._take(snapshot)
            shared = self._shared
            parts = shared.parts(media_type.format, selection)
        body = shared.response(media_type.format, selection, parts, compress=compress)
        if is_new and self._on_collected is not None:
            self._on_collected(self._clock() - started)
        return _response(media_type, body, compress=compress, is_head=method == "HEAD")

    def kept(
        self, *, accept: str | None, accept_encoding: str | None, category: Category | None = None
    ) -> ExpositionResponse | None:
        """Return the response to a GET that an earlier one has made of the latest collection, without waiting; None where there is none."""
        snapshot, shared = self.reader.fresh_snapshot(), self._shared
        if snapshot is None or snapshot.number != shared.number:
            return None
        media_type, compress = negotiate_media_type(accept), accepts_gzip(accept_encoding)
        body = shared.kept_response(media_type.format, Selection(category), compress=compress)
        return None if body is None else _response(media_type, body, compress=compress, is_head=False)

    def _take(self, snapshot: Snapshot) -> bool:
        """Serve `snapshot` from now on, unless another thread took a newer one.

        Return whether it is new.
        """
        if snapshot.number <= self._shared.number:
            return False
        families = self._index.families(snapshot.data)
        self._writers = writers_for(families, self._writers)
        self._shared = SharedBytes(snapshot.number, families, snapshot.exemplars, self._writers)
        return True


def _response(media_type: MediaType, body: bytes, *, compress: bool, is_head: bool) -> ExpositionResponse:
    headers = {
        "Content-Type": media_type.content_type,
        "Content-Length": str(len(body)),
        "Vary": "Accept, Accept-Encoding",
    }
    if compress:
        headers["Content-Encoding"] = "gzip"
    return ExpositionResponse(200, headers, b"" if is_head else body)
