"""The Markdown page `/prometheus/metrics/docs`, generated from the catalogue.

It lists every family with its labels, what updates it and example queries.
"""

from collections.abc import Sequence
from typing import Final

from otel.catalogue.conventions import EQUAL_TO
from otel.catalogue.spec import Category, Kind, Label, MetricSpec
from otel.exposition.syntax import label_key

_ENDPOINTS: Final = """\
## Endpoints

| endpoint | response |
|---|---|
| `GET /metrics`, `GET /prometheus/metrics/all` | every family |
{categories}
| `GET /prometheus/metrics/summary` | JSON with numbers since this process started, `null` where unknown; \
`?category=` limits it to one of {names} |
| `GET /prometheus/metrics/docs` | this page |

`?name[]=` (repeatable) limits an exposition to the named families; a sample name such as `x_bucket` names its family.
`HEAD` returns the headers of the `GET`. Responses are gzipped for clients that accept it.
"""

_FORMATS: Final = """\
## Formats

`Accept` decides, with its `q`: Prometheus text 0.0.4 (default) or OpenMetrics 1.0.0 (`application/openmetrics-text`). Sample names and
labels are the same in both, so a query never depends on the format. Exemplars with `trace_id` and `span_id` are in OpenMetrics only.

Differences from OpenMetrics' typing and from the stock OpenTelemetry exporter for Prometheus:

- Counters keep the documented name and get no suffix. OpenMetrics allows a counter's sample only under a name ending in `_total`, so
  there {bare} are typed `unknown`, and carry no exemplar.
- `# UNIT` is written where the name ends with the unit, and nowhere else.
- An up-down counter is a gauge. An exponential histogram is written as a classic one, with the bounds of its populated buckets.
- There is no `target_info` and there are no `otel_scope_*` labels; the resource travels with OTLP.
- A documented label that a series lacks is empty. `otel_metric_overflow="true"` marks the series that takes measurements beyond a
  family's series limit; its other labels are empty.
- Series whose labels become equal are added; of gauges the latest is shown.
- Attribute keys that become the same label share it, their values joined by `;`. A histogram's attribute `le` becomes `exported_le`.
"""


_CONVENTIONS: Final = """\
## Names of OpenTelemetry's conventions

Off unless `OTEL_SEMCONV_STABILITY_OPT_IN` or `telemetry.semconv_opt_in` names the opt-in. Their values are those of the
documented families, counted once under each name. Over OTLP they have the dotted names, and attributes with the conventions'
keys. Names, units and buckets are those of the semantic conventions 1.44.0 (HTTP, databases) and 1.41.1 (GenAI). They are in
no category.

| name | over OTLP | opt-in | type | labels | meaning | equal to |
|---|---|---|---|---|---|---|
{rows}
"""


def reference(specs: Sequence[MetricSpec]) -> str:
    """Return the page; families of conventions have a section of their own."""
    conventions = [spec for spec in specs if spec.convention]
    specs = [spec for spec in specs if not spec.convention]
    names = ", ".join(f"`{category}`" for category in Category)
    categories = "\n".join(
        f"| `GET /prometheus/metrics/{category}` | the families of the category {category} |" for category in Category
    )
    bare = ", ".join(f"`{spec.name}`" for spec in specs if _is_bare_counter(spec)) or "such counters"
    sections = [
        _section(category.value, [spec for spec in specs if category in spec.categories]) for category in Category
    ]
    uncategorised = [spec for spec in specs if not spec.categories]
    return "\n".join(
        [
            "# Metrics reference\n",
            _ENDPOINTS.format(categories=categories, names=names),
            _FORMATS.format(bare=bare),
            *sections,
            *([_section("in /metrics only", uncategorised)] if uncategorised else []),
            *([_convention_section(conventions)] if conventions else []),
        ]
    )


def _section(title: str, specs: Sequence[MetricSpec]) -> str:
    rows = "\n".join(
        f"| `{spec.name}` | {_type(spec)} | {_labels(spec.labels)} | {_cell(spec.help)} | {_cell(spec.updated_by)} |"
        for spec in specs
    )
    queries = "\n".join(f"# {spec.name}\n" + "\n".join(spec.queries) + "\n" for spec in specs if spec.queries)
    table = f"| name | type | labels | meaning | updated by |\n|---|---|---|---|---|\n{rows}\n"
    return f"## {title.capitalize()}\n\n{table}\n```promql\n{queries}```\n"


def _convention_section(specs: Sequence[MetricSpec]) -> str:
    return _CONVENTIONS.format(
        rows="\n".join(
            f"| `{spec.name}` | `{spec.stream_name}` | `{spec.convention}` | {_type(spec)} | {_labels(spec.labels)} | {_cell(spec.help)} "
            f"| {EQUAL_TO.get(spec.name, '')} |"
            for spec in specs
        )
    )


def _type(spec: MetricSpec) -> str:
    unit = f", {spec.unit}" if spec.unit not in {"", "1"} else ""
    return f"{spec.kind.prometheus_type}{unit}"


def _labels(labels: Sequence[Label]) -> str:
    return "; ".join(_label(label) for label in labels) or "none"


def _label(label: Label) -> str:
    values = ", ".join(f"`{value}`" for value in label.values)
    return f"`{label_key(label.key)}`: {values or _cell(label.bound_by)}"


def _cell(text: str) -> str:
    """Return text that stays inside its table cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def _is_bare_counter(spec: MetricSpec) -> bool:
    return spec.kind in {Kind.COUNTER, Kind.OBSERVABLE_COUNTER} and not spec.name.endswith("_total")
