"""Which format and coding a client gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel.exposition import negotiation
from otel.exposition.negotiation import (
    MAX_ELEMENTS,
    MAX_HEADER_CHARACTERS,
    Format,
    accepts_gzip,
    negotiate_media_type,
)

TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OLD_OPENMETRICS = "application/openmetrics-text; version=0.0.1; charset=utf-8"
UNDERSCORES = "; escaping=underscores"

ACCEPT = [
    (None, TEXT),
    ("", TEXT),
    (" , ,", TEXT),
    ("*/*", TEXT),
    ("text/*", TEXT),
    ("text/plain", TEXT),
    ("TEXT/PLAIN; VERSION=0.0.4", TEXT),
    ("text/plain;version=1.0.0", TEXT_1),
    ("text/plain;version=1.0.0;escaping=allow-utf-8", TEXT_1 + UNDERSCORES),
    ("text/plain;version=0.0.4;escaping=allow-utf-8", TEXT),
    ("application/openmetrics-text", OPENMETRICS),
    ('application/openmetrics-text; version="1.0.0"', OPENMETRICS),
    ("application/openmetrics-text;version=1.0.0;escaping=dots", OPENMETRICS + UNDERSCORES),
    ("application/openmetrics-text;version=0.0.1", OLD_OPENMETRICS),
    ("application/openmetrics-text;version=0.0.1;q=0.4, application/openmetrics-text;version=1.0.0;q=0.5", OPENMETRICS),
    (
        "application/openmetrics-text;version=0.0.1;q=0.6, application/openmetrics-text;version=1.0.0;q=0.5",
        OLD_OPENMETRICS,
    ),
    ("application/*", OPENMETRICS),
    ("application/*, text/*;q=0.9", OPENMETRICS),
    # Not offered: there is a response all the same.
    ("application/openmetrics-text;version=2.0.0", TEXT),
    ("text/plain;version=9", TEXT),
    ("application/json", TEXT),
    ("text/plain;q=0", TEXT),
    ("*/*;q=0", TEXT),
    # Weights decide, not the order.
    ("application/openmetrics-text;q=0.5, text/plain;q=0.6", TEXT),
    ("text/plain;q=0.5, application/openmetrics-text;q=0.6", OPENMETRICS),
    ("text/plain;q=0.5, */*", OPENMETRICS),
    ("text/plain;q=0, */*;q=0.1", OPENMETRICS),
    ("application/openmetrics-text;q=0, */*", TEXT),
    ("application/openmetrics-text;version=1.0.0;q=0, */*;q=0.1", TEXT),
    # Equal weights: the more specific range, then the order.
    ("application/openmetrics-text, text/plain", OPENMETRICS),
    ("text/plain, application/openmetrics-text", TEXT),
    ("*/*, application/openmetrics-text", OPENMETRICS),
    ("text/*, application/openmetrics-text", OPENMETRICS),
    # Malformed weights: the element does not count.
    ("application/openmetrics-text;q=high, text/plain;q=0.1", TEXT),
    ("application/openmetrics-text;q=2, text/plain;q=0.1", TEXT),
    ("application/openmetrics-text;q=-1, text/plain;q=0.1", TEXT),
    ("application/openmetrics-text;q=nan", TEXT),
    ("application/openmetrics-text;q=1.5, text/plain;q=0.1", TEXT),
    # What real clients send.
    (
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
            "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        ),
        OPENMETRICS + UNDERSCORES,
    ),
    ("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OLD_OPENMETRICS),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", TEXT),
]

ACCEPT_ENCODING = [
    (None, False),
    ("", False),
    ("identity", False),
    ("gzip", True),
    ("GZIP", True),
    ("x-gzip", True),
    ("gzip, deflate, br", True),
    ("deflate, br", False),
    ("gzip;q=0", False),
    ("gzip;q=0.0, *", False),
    ("gzip;q=0.001", True),
    ("*", True),
    ("*;q=0", False),
    ("br, *;q=0.1", True),
    ("identity, gzip;q=0.5", False),
    ("identity;q=0.5, gzip;q=0.5", True),
    ("identity;q=0, gzip", True),
    ("identity;q=0", False),
    ("gzip;q=maybe", False),
]


@pytest.mark.parametrize(("accept", "content_type"), ACCEPT)
def test_accept(accept, content_type):
    assert negotiate_media_type(accept).content_type == content_type


@pytest.mark.parametrize(("accept_encoding", "compressed"), ACCEPT_ENCODING)
def test_accept_encoding(accept_encoding, compressed):
    assert accepts_gzip(accept_encoding) is compressed


@given(st.text(max_size=80) | st.text(alphabet='textplain/*;,=q.01v"', max_size=80))
def test_any_header_gets_a_response(header):
    assert negotiate_media_type(header).format in Format
    assert accepts_gzip(header) in {True, False}


WEIGHTS = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@given(WEIGHTS, WEIGHTS, st.booleans())
def test_the_higher_weight_wins_whatever_the_order(text, openmetrics, swapped):
    elements = [f"text/plain;q={text}", f"application/openmetrics-text;q={openmetrics}"]
    chosen = negotiate_media_type(",".join(reversed(elements) if swapped else elements)).format
    if openmetrics > text:
        assert chosen is Format.OPENMETRICS
    elif text > openmetrics or text == 0:
        assert chosen is Format.TEXT


def work_of(header, monkeypatch):
    """Return how many elements were read, and how often ranges were ranked, for one header."""
    done = {"elements": 0, "ranked": 0}
    quality, rank = negotiation._quality, negotiation._Match.rank

    def counted_quality(text):
        done["elements"] += 1
        return quality(text)

    def counted_rank(match):
        done["ranked"] += 1
        return rank.fget(match)

    monkeypatch.setattr(negotiation, "_quality", counted_quality)
    monkeypatch.setattr(negotiation._Match, "rank", property(counted_rank))
    negotiate_media_type(header)
    accepts_gzip(header)
    monkeypatch.undo()
    return done["elements"], done["ranked"]


@pytest.mark.parametrize("element", ["*/*", "text/plain;q=0.5", "a", "", ";", "*/*;" + "a=b;" * 20, '"'])
def test_the_work_does_not_grow_with_the_header(element, monkeypatch):
    header = ",".join([element] * 16_000)[:64_000]
    elements, ranked = work_of(header, monkeypatch)
    assert elements <= 2 * MAX_ELEMENTS
    assert ranked <= 4 * MAX_ELEMENTS


@pytest.mark.parametrize("count", [1, 8, 16, 32, 64])
def test_the_work_is_linear_below_the_bounds(count, monkeypatch):
    elements, ranked = work_of(",".join(["*/*"] * count), monkeypatch)
    assert elements == 2 * count
    assert ranked <= 4 * count


def test_only_the_beginning_of_a_header_counts():
    late = ",".join(["application/json"] * MAX_ELEMENTS + ["application/openmetrics-text"])
    assert negotiate_media_type(late).format is Format.TEXT
    in_time = ",".join(["a/b"] * (MAX_ELEMENTS - 1) + ["application/openmetrics-text"])
    assert negotiate_media_type(in_time).format is Format.OPENMETRICS
    # An element that is cut in its middle is not read as another one.
    padding = "a/" + "b" * (MAX_HEADER_CHARACTERS - 20)
    assert accepts_gzip(f"{padding}, gzip;q=0.000001") is True
    assert accepts_gzip(f"{padding},{' ' * 13}gzip;q=0") is False
