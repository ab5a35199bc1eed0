"""How the page writes numbers and times. Runs the sources in Node; skipped where it is not installed."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).parents[3] / "console" / "page" / "src"
RUN = """
const [, , module, name, texts] = process.argv;
const found = await import(module);
console.log(JSON.stringify(JSON.parse(texts).map((values) => found[name](...values))));
"""


def results(name: str, *calls: list[Any], module: str = "format.js") -> list[Any]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    command = [node, "--input-type=module", "-", (SOURCES / module).as_uri(), name, json.dumps(calls)]
    ended = subprocess.run(command, input=RUN, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    return [one.replace("\xa0", " ") if isinstance(one, str) else one for one in found]


@pytest.mark.parametrize("name", ["count", "number", "percent", "usd", "duration", "bytes", "clock", "instant", "ago"])
def test_what_is_not_known_is_unknown_and_never_zero(name: str) -> None:
    assert results(name, [None]) == ["unknown"]


def test_a_count_has_its_noun_in_the_right_number() -> None:
    assert results("counted", [0, "event"], [1, "event"], [2, "event"], [1200, "attempt"], [None, "row"]) == [
        "0 events", "1 event", "2 events", "1,200 attempts", "unknown rows",
    ]  # fmt: skip


def test_money_keeps_the_amounts_of_single_calls() -> None:
    assert results("usd", [0], [0.0001881], [0.0000162], [0.000000017], [0.0456], [3.0249], [12345.6]) == [
        "$0", "$0.000188", "$0.0000162", "$0.000000017", "$0.0456", "$3.02", "$12,346",
    ]  # fmt: skip


def test_shares_near_the_ends_are_not_rounded_into_none_and_all() -> None:
    assert results("percent", [0], [0.0004], [0.1234], [0.9996], [1]) == [
        "0 %",
        "< 0.1 %",
        "12.3 %",
        "> 99.9 %",
        "100 %",
    ]


def test_a_change_is_a_share_of_the_earlier_number_and_unknown_where_one_of_them_is() -> None:
    calls = [[112.5, 100], [87.5, 100], [100.04, 100], [99.96, 100], [5, 5], [0, 0], [0, 4], [3, 0], [42, 4], [3, -1]]
    assert results("change", *calls) == [
        "+12.5 %", "-12.5 %", "+< 0.1 %", "-< 0.1 %", "unchanged", "unchanged", "-100.0 %", "was 0", "10.5 times", "unknown",
    ]  # fmt: skip
    assert results("change", [None, 1], [1, None], [None, None]) == ["unknown"] * 3


def test_a_share_changes_by_percentage_points() -> None:
    assert results("points", [0.1, 0.08], [0.08, 0.1], [0.1, 0.1], [0, 0.0001], [None, 0.1], [0.1, None]) == [
        "+2.0 points", "-2.0 points", "unchanged", "-< 0.1 points", "unknown", "unknown",
    ]  # fmt: skip


def test_durations_have_the_unit_that_suits_them() -> None:
    assert results("duration", [0], [0.00004], [0.0031], [0.877], [1.84], [61.25], [3700], [86400]) == [
        "0 ms", "40 µs", "3.1 ms", "877 ms", "1.84 s", "61.3 s", "62 min", "24.0 h",
    ]  # fmt: skip


def test_values_of_an_axis_share_one_unit() -> None:
    assert results("axisTexts", [[0, 0.5, 1, 1.5], "s"], [[0, 0.2], "s"], [[0, 1024], "By"]) == [
        ["0\xa0s", "0.5\xa0s", "1\xa0s", "1.5\xa0s"],
        ["0\xa0ms", "200\xa0ms"],
        ["0\xa0B", "1.0\xa0KiB"],
    ]


def test_counts_are_grouped_and_units_are_written_out() -> None:
    assert results("count", [0], [12403], [0.5]) == ["0", "12,403", "0.5"]
    assert results("number", [999.94], [2335.2], [12403.7]) == ["999.9", "2,335", "12,404"]
    assert results("withUnit", [12.5, "{request}/s"], [2048, "By"], [0.25, "1"], [0.25, ""], [0.25, "1/s"]) == [
        "12.5 request/s", "2.0 KiB", "0.25", "0.25", "0.25/s",
    ]  # fmt: skip


def test_times_are_utc_and_name_the_day_where_it_is_not_today() -> None:
    at, now = 1_790_000_000.25, 1_790_000_100_000
    assert results("clock", [at, {"now": now, "withMilliseconds": True}], [at, {"now": now + 86_400_000}]) == [
        "14:13:20.250", "09-21 14:13:20",
    ]  # fmt: skip
    assert results("ago", [1000, 1012.9], [1000, 1300], [1000, 9000]) == ["12 s ago", "5 min ago", "2 h ago"]


def test_a_time_that_no_date_can_have_is_unknown() -> None:
    assert results("instant", [1e300], [-1e13], [8.64e12]) == ["unknown", "unknown", "+275760-09-13 00:00:00.000 UTC"]
    assert results("clock", [1e300]) == ["unknown"]


def test_the_ends_of_a_range_name_the_day_of_both_where_it_is_not_the_same() -> None:
    day = 86_400
    ends = results("endsWords", [{"from": 0, "to": 60}], [{"from": day - 60, "to": day + 60}])
    assert ends == ["1970-01-01 00:00:00 \u2013 00:01:00 UTC", "1970-01-01 23:59:00 \u2013 1970-01-02 00:01:00 UTC"]


def test_series_are_compared_with_those_of_the_same_labels_at_the_same_place_of_their_time() -> None:
    chart = {
        "times": [10, 11, 12],
        "series": [{"labels": {"a": "1", "b": "2"}, "values": [1, 2, 3]}, {"labels": {}, "values": [4, 5, 6]}],
    }
    earlier = {"times": [8, 9], "series": [{"labels": {"b": "2", "a": "1"}, "values": [7, None]}]}
    [found] = results("withBefore", [chart, earlier], module="compare.js")
    assert [series["before"] for series in found["series"]] == [[None, 7, None], [None, None, None]]
