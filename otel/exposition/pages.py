"""The pages of the monitoring endpoints: what of a request decides about them, and the whole response.

Requests are read in bounded time. Collecting and rendering take milliseconds of CPU, so they run in
threads.
"""

import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from otel.catalogue.naming import DOCUMENTED, Naming
from otel.catalogue.spec import Category
from otel.exposition.collect_threads import CollectThreads, TooManyCollectionsError
from otel.exposition.endpoint import Exposition, ExpositionResponse
from otel.exposition.reference import reference
from otel.exposition.scrape_request import MAX_QUERY_FIELDS, Headers, QueryTooLongError, list_header, query_fields
from otel.exposition.summary import summarise
from otel.metrics.reader import SharedReader

_CATEGORIES: Final = ", ".join(Category)
_MAX_SHOWN: Final = 40


class PageError(Exception):
    """A request that gets an error in place of a page."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class MonitoringPages:
    """Responds to GET; raises `PageError`. For one event loop.

    `naming` gives the names under which the exposition has the documented families.
    """

    def __init__(
        self, exposition: Exposition, *, naming: Naming = DOCUMENTED, threads: CollectThreads | None = None
    ) -> None:
        self._exposition = exposition
        self._summaries = _Summaries(exposition.reader, naming)
        self._threads = threads or CollectThreads()
        self.docs: Final = _page(reference(exposition.specs).encode(), "text/markdown; charset=utf-8")
        """The reference page."""

    async def families(self, headers: Headers, query: bytes, category: Category | None = None) -> ExpositionResponse:
        """Return an exposition of all families or of one category, in the format that the headers request."""
        accept, accept_encoding = list_header(headers, b"accept"), list_header(headers, b"accept-encoding")
        names = _query_values(query, "name[]")
        if not names:
            # A thread for each of a flood of requests would take the interpreter from the event loop.
            kept = self._exposition.kept(accept=accept, accept_encoding=accept_encoding, category=category)
            if kept is not None:
                return kept
        return await self._in_thread(
            lambda: self._exposition.respond(
                method="GET", accept=accept, accept_encoding=accept_encoding, category=category, names=names
            )
        )

    async def summary(self, query: bytes) -> ExpositionResponse:
        """Return the summary of all categories, or of the one that the query names."""
        wanted = next(iter(_query_values(query, "category")), None)
        if wanted is not None and wanted not in set(Category):
            raise PageError(HTTPStatus.BAD_REQUEST, no_category(wanted))
        category = None if wanted is None else Category(wanted)
        body = self._summaries.kept(category)
        if body is not None:
            return _page(body, "application/json")
        return await self._in_thread(lambda: _page(self._summaries.of(category), "application/json"))

    async def _in_thread(self, work: Callable[[], ExpositionResponse]) -> ExpositionResponse:
        try:
            return await self._threads.run(work)
        except TooManyCollectionsError:
            detail = "Too many scrapes wait already."
            raise PageError(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"}) from None


class _Summaries:
    """The summaries of the latest collection. Safe from any thread."""

    def __init__(self, reader: SharedReader, naming: Naming) -> None:
        self._reader = reader
        self._naming = naming
        self._lock = threading.Lock()
        self._bodies: dict[Category | None, tuple[int, bytes]] = {}
        """Each with the number of its collection."""

    def kept(self, category: Category | None) -> bytes | None:
        """Return what was made of the latest collection, without waiting; None where it is not made yet."""
        snapshot = self._reader.fresh_snapshot()
        number, body = self._bodies.get(category, (-1, b""))
        return body if snapshot is not None and snapshot.number == number else None

    def of(self, category: Category | None) -> bytes:
        """Return one category, or all, as JSON, made once for each collection."""
        snapshot = self._reader.snapshot()
        with self._lock:
            number, body = self._bodies.get(category, (-1, b""))
            if number >= snapshot.number:
                return body
            body = msgspec.json.encode(summarise(snapshot, category, self._naming.family))
            self._bodies[category] = (snapshot.number, body)
            return body


def no_category(name: str) -> str:
    """Return what is wrong with a category's name; of a long one the beginning is repeated."""
    shown = repr(name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}...")
    return f"There is no category {shown}. The categories are {_CATEGORIES}."


def _query_values(query: bytes, name: str) -> list[str]:
    try:
        fields = query_fields(query)
    except QueryTooLongError as error:
        raise PageError(HTTPStatus.BAD_REQUEST, str(error)) from None
    except ValueError:
        detail = f"The query string has more than {MAX_QUERY_FIELDS} parameters."
        raise PageError(HTTPStatus.BAD_REQUEST, detail) from None
    return [value for key, value in fields if key == name]


def _page(body: bytes, content_type: str) -> ExpositionResponse:
    return ExpositionResponse(HTTPStatus.OK, {"Content-Type": content_type, "Content-Length": str(len(body))}, body)
