"""What the responses have in common: labels, windows, the basis of a number, errors."""

from typing import Any, TypeAlias

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all responses and their parts."""


Labels: TypeAlias = dict[str, str]
"""Label names and values of a series."""

Attributes: TypeAlias = dict[str, Any]
"""Attributes of a span, event, link, log record or resource: any JSON value, nested ones included."""


class Basis(Shape, frozen=True):
    """Where a number comes from."""

    source: str
    """For example `metric gatewayz_cost_usd_total`, `request log` or `spans`."""
    window_seconds: float | None
    """The length of time it covers; None for a latest value and for what is kept in total."""
    formula: str = ""
    """How it is computed, in PromQL where Prometheus would give the same number."""


Bases: TypeAlias = dict[str, Basis]
"""By the name of the field in the response."""


class Window(Shape, frozen=True):
    """The time that a response covers: from (inclusive) to (exclusive)."""

    from_: float = msgspec.field(name="from")
    to: float
    covered_from: float | None
    """Since when there is data for it, where that is later than `from`; None where it covers everything."""


class Problem(Shape, frozen=True):
    """The body of every error, `application/problem+json` (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
