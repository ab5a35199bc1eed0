"""The replayed trace and the seeded schedule made of it."""

from collections import Counter
from itertools import islice, pairwise

import msgspec
import pytest

from demo.gateway_config import MODELS
from demo.traffic.arrivals import MAX_GAP_SECONDS, Arrival, read_trace, replay
from demo.traffic.outcomes import OUTAGE_EVERY_SECONDS, OUTAGE_SECONDS
from demo.traffic.plan import Planned
from demo.traffic.schedule import DEMO_MIX, EVEN_MIX, ScheduleOptions, schedule
from otel.catalogue.semconv import ERROR_KINDS

TRACE = read_trace()


def _planned(count: int, **options: object) -> list[Planned]:
    fields: dict[str, object] = {"seed": 1, "run": "r", "speed": 4.0}
    return list(islice(schedule(TRACE, ScheduleOptions(**(fields | options))), count))  # type: ignore[arg-type]  test


def test_the_trace_is_whole_and_its_silences_are_shortened() -> None:
    assert len(TRACE) == 8_819
    assert (TRACE[0].at_seconds, TRACE[0].input_tokens, TRACE[0].output_tokens) == (0.0, 4808, 10)
    assert TRACE[1].at_seconds == pytest.approx(0.052)
    assert sum(arrival.input_tokens for arrival in TRACE) == 18_059_974
    gaps = [later.at_seconds - earlier.at_seconds for earlier, later in pairwise(TRACE)]
    assert min(gaps) >= 0
    assert max(gaps) == pytest.approx(MAX_GAP_SECONDS)


def test_replay_scales_time_and_begins_again() -> None:
    trace = [Arrival(0.0, 1, 2), Arrival(3.0, 4, 5)]
    moments = [arrival.at_seconds for arrival in islice(replay(trace, 2.0), 5)]
    assert moments == [0.0, 1.5, 2.0, 3.5, 4.0]


def test_the_same_seed_is_the_same_schedule_and_another_is_another() -> None:
    assert _planned(400) == _planned(400)
    assert [planned.kind for planned in _planned(400)] != [planned.kind for planned in _planned(400, seed=2)]


def test_requests_come_in_order_and_wait_only_for_earlier_ones() -> None:
    planned = _planned(2_000, real_every_seconds=1.0)
    assert [each.number for each in planned] == list(range(1, 2_001))
    assert all(earlier.at_seconds <= later.at_seconds for earlier, later in pairwise(planned))
    assert all(each.after < each.number for each in planned if each.after is not None)
    real = [each for each in planned if each.kind == "real model"]
    assert [each.after for each in real] == [None, *(each.number for each in real[:-1])]


def test_without_a_real_model_nothing_is_sent_to_it() -> None:
    assert not [each for each in _planned(2_000) if each.kind == "real model"]


def test_a_minute_of_the_demo_is_a_few_thousand_requests_of_every_kind() -> None:
    minute = [each for each in _planned(6_000) if each.at_seconds < 60]
    assert 1_500 < len(minute) < 5_000
    kinds = Counter(each.kind for each in minute)
    # Several functions share a kind's name, and one makes two kinds.
    assert len(kinds) == len(DEMO_MIX) + 1
    assert kinds["answer"] + kinds["stream"] > len(minute) / 2


def test_the_even_mix_has_every_outcome_by_the_dozen() -> None:
    planned = _planned(2_500, mix=EVEN_MIX)
    assert min(Counter(each.kind for each in planned).values()) > 24
    statuses = Counter(each.status_code for each in planned)
    assert {200, 400, 401, 404, 405, 413, 429, 499, 502, 504} <= statuses.keys()


def test_a_repeated_request_is_the_first_ones_bytes() -> None:
    planned = {each.number: each for each in _planned(3_000, mix=EVEN_MIX)}
    repeated = [each for each in planned.values() if each.kind == "cache hit"]
    assert repeated
    for each in repeated:
        first = planned[each.after or 0]
        assert (first.cache, first.body, first.key) == ("miss", each.body, each.key)
        assert each.attempts == ()


def test_a_request_tells_every_provider_that_it_will_meet_what_to_do() -> None:
    routes = {model.name: [route.provider for route in model.routes] for model in MODELS}
    for each in _planned(2_000, mix=EVEN_MIX):
        if not each.attempts:
            continue
        providers = [attempt.provider for attempt in each.attempts]
        assert providers == routes[each.model or ""][: len(providers)]
        scripts = msgspec.json.decode(each.body)["x_script"]
        assert set(scripts) == set(providers) - {"gone"}
        # Only the last attempt may end well, and only then none is left to try.
        assert all(attempt.status == "error" for attempt in each.attempts[:-1])
        for attempt in each.attempts:
            assert (attempt.error_kind in ERROR_KINDS) == (attempt.status == "error")


def test_the_dying_provider_is_away_for_a_while_and_then_back() -> None:
    away: Counter[bool] = Counter()
    for each in _planned(6_000):
        if each.model == "meadow-24b" and each.kind in {"answer", "stream"}:
            in_outage = each.at_seconds % OUTAGE_EVERY_SECONDS > OUTAGE_EVERY_SECONDS - OUTAGE_SECONDS
            assert (each.attempts[0].status == "error") == in_outage
            away[in_outage] += 1
    assert min(away.values()) > 20
