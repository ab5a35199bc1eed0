import json
import math
from pathlib import Path

import msgspec
import pytest

from bench.gateway_report import Measured, Report, Setting, Spread, from_json, measured_pairs, to_json

SETTING = Setting(
    rounds=3, seconds=2, load="wrk", upstream="canned", cores="server on core 1, load on core 0", core_count=2,
    load_average_before=0.1, python="3.11.7", system="Linux x86_64", skipped={"LiteLLM": "it is not installed"},
)  # fmt: skip


def measured(
    variant: str, per_second: float, *, number: int = 1, kind: str = "whole", connections: int = 16
) -> Measured:
    return Measured(
        variant=variant, kind=kind, connections=connections, round=number, per_second=per_second,
        p50_milliseconds=1000 / per_second, p99_milliseconds=4000 / per_second,
        cpu_microseconds=1e6 / per_second, context_switches=0.0,
    )  # fmt: skip


def report(*each: Measured) -> Report:
    return Report(setting=SETTING, measured=list(each))


def test_a_ratio_is_the_median_of_each_rounds_ratio_not_the_ratio_of_the_medians() -> None:
    run = report(
        *(measured("off", value, number=number) for number, value in enumerate((1000, 400, 2000), 1)),
        *(measured("on", value, number=number) for number, value in enumerate((500, 360, 1800), 1)),
    )
    assert run.ratio(("on", "off"), "whole", 16, "per_second") == Spread(0.9, 0.5, 0.9)
    cpu = run.ratio(("on", "off"), "whole", 16, "cpu_microseconds")
    assert (cpu.median, cpu.lowest, cpu.highest) == pytest.approx((1 / 0.9, 1 / 0.9, 2.0))


def test_rounds_are_paired_by_their_number_whatever_their_order() -> None:
    run = report(
        measured("on", 100, number=2), measured("on", 900, number=1),
        measured("off", 1000, number=1), measured("off", 200, number=2),
    )  # fmt: skip
    assert run.ratio(("on", "off"), "whole", 16, "per_second") == Spread(0.7, 0.5, 0.9)


def test_other_kinds_and_connections_are_not_mixed_in() -> None:
    run = report(measured("on", 10), measured("on", 20, kind="streamed"), measured("on", 30, connections=1))
    assert run.spread("on", "whole", 16, "per_second") == Spread(10, 10, 10)
    assert list(run.points()) == [("whole", 1), ("whole", 16), ("streamed", 16)]


def test_a_ratio_to_nothing_is_missing_and_null_for_machines() -> None:
    run = report(measured("on", 10), measured("off", 20))
    assert math.isnan(run.ratio(("on", "off"), "whole", 16, "context_switches").median)
    ratios = json.loads(to_json(run))["ratios"]
    assert ratios[0]["ratio"] == "on/off"
    assert ratios[0]["context_switches"]["median"] is None
    assert ratios[0]["per_second"]["median"] == 0.5


def test_ratios_are_those_of_what_was_measured() -> None:
    run = report(measured("Portkey", 10), measured("on", 10), measured("bare", 20))
    assert measured_pairs(run) == [("on", "bare"), ("on", "Portkey")]
    assert run.variants() == ["bare", "on", "Portkey"]


def test_a_report_comes_back_from_its_json(tmp_path: Path) -> None:
    run = report(measured("on", 10), measured("off", 20, number=3))
    path = tmp_path / "report.json"
    path.write_bytes(to_json(run))
    assert from_json(path) == run


def test_a_file_that_is_no_report_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text('{"measured": []}')
    with pytest.raises(msgspec.ValidationError, match="setting"):
        from_json(path)
