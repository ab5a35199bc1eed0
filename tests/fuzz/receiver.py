"""An OTLP receiver that looks through everything it gets at once and keeps only counts: a long run fits into memory."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from otel.config.otlp import Signal
from tests.fuzz.canaries import Leaks
from tests.harness.otlp_receiver import OtlpReceiver

MAX_ATTRIBUTE_CHARACTERS: Final = 512
BOUNDED: Final[Mapping[str, str]] = {
    "method": "method", "http.request.method": "method", "path": "path", "http.route": "path", "model": "model",
    "gen_ai.request.model": "model", "gatewayz.model": "model", "provider": "provider", "gen_ai.provider.name": "provider",
    "gatewayz.provider": "provider", "peer.service": "provider", "exception_type": "exception_type",
}  # fmt: skip
"""Log fields and span attributes by the label whose closed set they share."""

_MAX_KEPT: Final = 5
_MOST_VALUES: Final = 200


class WatchingReceiver(OtlpReceiver):
    """Counts spans by name and log records by logger; `oddities` are things that no signal may hold."""

    def __init__(self, leaks: Leaks) -> None:
        super().__init__()
        self._leaks = leaks
        self.span_names: Counter[str] = Counter()
        self.loggers: Counter[str] = Counter()
        self.values: dict[str, set[str]] = {key: set() for key in BOUNDED}
        self.oddities: list[str] = []

    def take(self, signal: Signal, headers: Mapping[str, str], body: bytes, *, accept: bool) -> None:
        """Search the bytes for canaries, count what they hold, and forget it."""
        self._leaks.search(f"OTLP {signal}", body)
        super().take(signal, headers, body, accept=accept)
        with self._changed:
            spans, self._spans = self._spans, []
            records, self._log_records = self._log_records, []
            self._requests.clear()
            for span in spans:
                self.span_names[span["name"]] += 1
                self._check(f"span {span['name']!r}", span["attributes"])
                for event in span["events"]:
                    self._check(f"span event {event['name']!r}", event["attributes"])
            for record in records:
                line = json.loads(record["body"])
                self.loggers[line["logger"]] += 1
                # Tracebacks have many lines; that there is one is found in what the gateway writes.
                line.pop("exception", None)
                self._check(f"log record of {line['logger']}", line | record["attributes"])

    def _check(self, where: str, attributes: Mapping[str, Any]) -> None:
        for key, values in self.values.items():
            if key in attributes and len(values) < _MOST_VALUES:
                values.add(attributes[key])
        for key, value in attributes.items():
            for text in value if isinstance(value, list) else [value]:
                is_odd = isinstance(text, str) and (len(text) > MAX_ATTRIBUTE_CHARACTERS or not text.isprintable())
                if is_odd and len(self.oddities) < _MAX_KEPT:
                    self.oddities.append(f"{where}: {key} = {text[:200]!r} ({len(text)} characters)")
