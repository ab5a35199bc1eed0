import math
from pathlib import Path

import msgspec
import pytest

from bench.gateway_report import Measured, Report, Setting, Spread, from_json
from bench.gateway_tables import DOCS, as_markdown, as_text, figure_rows, number, ratio_rows, remarks
from bench.page import put_into

SETTING = Setting(
    rounds=1, seconds=2, load="wrk", upstream="canned", cores="server on core 1, load on core 0", core_count=2,
    load_average_before=0.1, python="3.11.7", system="Linux x86_64", skipped={"LiteLLM": "it is not installed"},
)  # fmt: skip
RUN = Report(
    setting=SETTING,
    measured=[
        Measured(
            variant=variant, kind="whole", connections=16, round=1, per_second=per_second, p50_milliseconds=8.0,
            p99_milliseconds=9.0, cpu_microseconds=1e6 / per_second, context_switches=0.25,
        )
        for variant, per_second in (("bare", 4000.0), ("off", 2000.0), ("on", 1000.0))
    ],
)  # fmt: skip


def test_a_figure_shows_its_spread_where_it_has_one() -> None:
    assert number(Spread(2.0, 1.0, 3.0), 1) == "2.0 (1.0-3.0)"
    assert number(Spread(2.0, 1.99, 2.01), 1) == "2.0"
    assert number(Spread(math.nan, math.nan, math.nan), 1) == "-"


def test_each_variant_has_a_row_with_all_figures() -> None:
    assert figure_rows(RUN)[1:] == [
        ["whole", "16", "bare", "4000", "8.00", "9.00", "250", "0.25"],
        ["whole", "16", "off", "2000", "8.00", "9.00", "500", "0.25"],
        ["whole", "16", "on", "1000", "8.00", "9.00", "1000", "0.25"],
    ]


def test_ratios_have_cpu_and_latency_only_against_the_gateway_itself() -> None:
    heading, row = ratio_rows(RUN)
    assert heading[2:] == ["on/off requests/s", "on/off CPU", "on/off p50", "on/off p99", "on/bare requests/s"]
    assert row == ["whole", "16", "0.50", "2.00", "1.00", "1.00", "0.25"]


def test_remarks_name_the_load_program_and_what_was_skipped() -> None:
    text = "\n".join(remarks(RUN))
    assert "Load: wrk." in text
    assert "LiteLLM was skipped: it is not installed." in text
    assert "busy" not in text


def test_a_busy_machine_is_marked() -> None:
    busy = msgspec.structs.replace(RUN, setting=msgspec.structs.replace(SETTING, load_average_before=6.5))
    assert "busy with other work (load average 6.5 before the run)" in as_text(busy)
    assert "busy with other work (load average 6.5 before the run)" in " ".join(as_markdown(busy).split())


def test_the_page_has_both_tables_between_its_comments(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- gateway: begin -->\nold\n<!-- gateway: end -->\nbelow\n")
    put_into(page, "gateway", as_markdown(RUN))
    text = page.read_text()
    assert text.startswith("above\n<!-- gateway: begin -->\n- Rounds: 1, 2 s for each row")
    assert "\n\n| response | connections | on/off requests/s |" in text
    assert "|---|---|---:|---:|---:|---:|---:|\n| whole | 16 | 0.50 | 2.00 |" in text
    assert "| whole | 16 | bare | 4000 |" in text
    assert text.endswith("\n<!-- gateway: end -->\nbelow\n")
    assert "old" not in text


def test_a_page_without_the_comments_is_not_touched(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- gateway: begin -->\n")
    with pytest.raises(ValueError, match="lacks <!-- gateway: begin --> and <!-- gateway: end -->"):
        put_into(page, "gateway", "new")
    assert page.read_text() == "above\n<!-- gateway: begin -->\n"


def test_the_page_of_this_project_is_made_from_its_report(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text((DOCS / "performance.md").read_text())
    put_into(page, "gateway", as_markdown(from_json(DOCS / "performance.json")))
    assert page.read_text() == (DOCS / "performance.md").read_text(), "run python -m bench.gateway_tables"
