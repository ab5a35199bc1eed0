"""Each scrape and each push of a gateway under load is a consistent cut. CUT_SCRAPES= scrapes more often."""

import os
from pathlib import Path

import pytest

from tests.fuzz.consistent_cuts import differences, watch_cuts

SCRAPES = int(os.environ.get("CUT_SCRAPES") or 100)
ROUTE = (("method", "POST"), ("path", "/v1/chat/completions"))
ATTEMPT = (("model", "steady"), ("provider", "steady"))
CUT = {
    ("fastapi_requests_total", (*ROUTE, ("status_code", "200"))): 2.0,
    ("fastapi_responses_total", (*ROUTE, ("status_code", "200"))): 2.0,
    ("fastapi_requests_duration_seconds_count", ROUTE): 2.0,
    ("model_inference_requests_total", (*ATTEMPT, ("status", "success"))): 2.0,
    ("model_inference_duration_seconds_count", ATTEMPT): 2.0,
    ("tokens_used_total", (*ATTEMPT, ("token_type", "input"))): 20.0,
    ("tokens_used_total", (*ATTEMPT, ("token_type", "output"))): 20.0,
    ("gatewayz_cost_usd_total", (*ATTEMPT, ("source", "priced"))): 80e-6,
    ("gatewayz_cost_by_provider", (("provider", "steady"),)): 80e-6,
}


@pytest.mark.live
async def test_each_scrape_and_each_push_under_load_is_a_consistent_cut(tmp_path: Path) -> None:
    report = await watch_cuts(tmp_path, scrapes=SCRAPES)
    assert report.problems == []
    assert report.scrapes == SCRAPES
    assert report.pushes >= 5
    # Requests ended between the collections, and between the scrapes of one another.
    assert report.states > SCRAPES // 2
    assert report.successes > SCRAPES


def test_a_cut_that_agrees_has_no_difference() -> None:
    assert list(differences(CUT)) == []


@pytest.mark.parametrize("series", CUT, ids=lambda series: "-".join((series[0], *(value for _, value in series[1]))))
def test_a_metric_that_is_ahead_of_the_others_is_found(series: tuple[str, tuple[tuple[str, str], ...]]) -> None:
    assert list(differences(CUT | {series: CUT[series] * 1.5}))
