"""The newest failed attempt of each provider and model that has a trace."""

from typing import Final, NamedTuple

from console.query.shapes.now import FailingTrace
from console.query.times import SECOND, to_seconds
from console.query.view import View

AGE_NS: Final = 24 * 3_600 * SECOND
MOST: Final = 2_000
"""The newest failed spans that are looked through."""

_NEWEST: Final = """
SELECT trace_id, start_ns, provider, model, error_type FROM spans INDEXED BY spans_failed
WHERE status_code = 2 AND start_ns > ? AND start_ns <= ? AND kind = 3 ORDER BY start_ns DESC LIMIT ?
"""


class _Failure(NamedTuple):
    trace_id: bytes
    start_ns: int
    provider: str | None
    model: str | None
    error_kind: str | None


class NewestFailures:
    """Reads client spans with status error, once."""

    def __init__(self, view: View) -> None:
        self._providers: dict[str | None, _Failure] = {}
        self._models: dict[str | None, _Failure] = {}
        for row in view.connection.execute(_NEWEST, (view.now_ns - AGE_NS, view.now_ns, MOST)):
            failure = _Failure(*row)
            self._providers.setdefault(failure.provider, failure)
            self._models.setdefault(failure.model, failure)

    def of_provider(self, name: str) -> FailingTrace | None:
        """Return that of a provider."""
        return _shown(self._providers.get(name))

    def of_model(self, name: str) -> FailingTrace | None:
        """Return that of a model."""
        return _shown(self._models.get(name))


def _shown(failure: _Failure | None) -> FailingTrace | None:
    if failure is None:
        return None
    return FailingTrace(
        trace_id=failure.trace_id.hex(),
        at=to_seconds(failure.start_ns),
        provider=failure.provider,
        model=failure.model,
        error_kind=failure.error_kind,
    )
