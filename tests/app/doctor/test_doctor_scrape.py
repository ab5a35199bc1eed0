"""What the doctor reads of a server's metrics."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from app.doctor.scrape import growth, parse_scrape

NAMES = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8)
LABELS = st.dictionaries(
    NAMES, st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=12), max_size=3
)


def escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


@settings(deadline=None)
@given(NAMES, LABELS, st.floats(allow_nan=False))
def test_any_label_value_is_read_as_it_was_written(name, labels, value):
    written = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
    scrape = parse_scrape(f"# TYPE {name} gauge\n{name}{{{written}}} {value!r} 1700000000000\n")
    [sample] = scrape.samples[name]
    assert (sample.labels, sample.value) == (labels, value)
    assert scrape.types == {name: "gauge"}


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_body_is_an_error(body):
    assert parse_scrape(body).series >= 0


def test_sums_and_differences():
    before = parse_scrape('sent{exporter="a"} 1\nsent{exporter="b"} 2\n')
    after = parse_scrape('sent_total{exporter="a"} 4\nsent_total{exporter="b"} 2\nnew 3\n')
    assert after.total("sent") == 6
    assert after.total("sent", exporter="a") == 4
    assert after.total("absent") is None
    assert growth(before, after, "sent") == 3
    assert growth(before, after, "new") == 3
    assert growth(None, after, "sent") == 6
    assert growth(before, None, "sent") == 0


def test_quoted_label_names_of_utf8_servers_are_read():
    [sample] = parse_scrape('target_info{"service.instance.id"="x",job="y"} 1\n').samples["target_info"]
    assert sample.labels == {"service.instance.id": "x", "job": "y"}
