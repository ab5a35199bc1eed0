"""`docs/gateway.md` says what the code does, where the two can be compared."""

import re
from pathlib import Path
from typing import get_args, get_type_hints

from app.application import LEDGER_CLOSE_SECONDS
from app.config.schema import BreakerConfig, LedgerConfig, ModelConfig, ProbesConfig, ProviderConfig, ServerConfig
from app.errors import GatewayError
from app.gateway.fault import FAULTS
from app.gateway.openai.failures import CallerFaultError, UpstreamFailure, failure_of_status
from app.http.exception_handlers import _CODES
from app.http.route_table import TRAFFIC_PATHS
from otel.catalogue import CATALOGUE
from otel.events import ErrorKind, FaultDomain, RateLimited, RequestFinished

PAGE = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text()


def errors(cls=GatewayError):
    for each in cls.__subclasses__():
        yield each
        yield from errors(each)


def test_every_error_of_the_code_is_in_the_table() -> None:
    rows = {(int(status), code) for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)`", PAGE, re.MULTILINE)}
    domain = {(each.status, each.code) for each in errors() if each.code}
    assert CallerFaultError in set(errors())
    http = {
        (400, "invalid_http"),
        (408, "request_timeout"),
        (414, "uri_too_long"),
        (431, "headers_too_large"),
        (501, "not_implemented"),
        (505, "http_version_not_supported"),
    }
    assert rows == domain | http | set(_CODES.items())


def test_every_way_in_which_a_provider_fails_is_named() -> None:
    for kind in get_args(ErrorKind):
        assert f"`{kind}`" in PAGE, kind


def test_the_fault_table_is_that_of_the_code() -> None:
    assert set(FAULTS) == set(get_args(ErrorKind))
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (?:of the )?(\w+) \|$", PAGE, re.MULTILINE)
    assert rows == [(kind, each.domain, each.scope) for kind, each in FAULTS.items()]
    assert {each.domain for each in FAULTS.values()} == set(get_args(FaultDomain))


def test_the_fail_over_table_says_what_the_code_does() -> None:
    rows = re.findall(r"^\| .*?returns (.*?)(?::.*?)? \| `(\w+)` \|", PAGE, re.MULTILINE)
    documented = {int(code): kind for codes, kind in rows for code in re.findall(r"\b\d{3}\b", codes)}
    assert len(documented) == 20
    for status in range(400, 600):
        failure = failure_of_status(status, b"", retry_after=None, unix_seconds=0.0)
        expected = documented.get(status, "upstream_4xx" if status < 500 else "upstream_5xx")
        assert (failure.kind if isinstance(failure, UpstreamFailure) else "upstream_4xx") == expected
    kept = re.search(r"with its status if that is ([\d, or]+), else with 400", PAGE)
    assert kept is not None
    passed_on = {int(code) for code in re.findall(r"\d{3}", kept[1])}
    assert {code for code in range(400, 500) if CallerFaultError(code, b"").response_status == code} == passed_on


def test_every_route_and_the_keys_that_it_names_exist() -> None:
    assert all(path in PAGE for path in TRAFFIC_PATHS)
    sections = (ServerConfig, ProviderConfig, ModelConfig, LedgerConfig, BreakerConfig, ProbesConfig)
    known = {name for each in sections for name in each.__struct_fields__}
    limit_types = set(get_args(get_type_hints(RateLimited)["limit_type"]))
    named = set(re.findall(r"`(\w+_(?:seconds|bytes|rows|requests|multiplier))`", PAGE))
    families = {spec.name for spec in CATALOGUE}
    assert named <= known | limit_types | set(RequestFinished.__struct_fields__) | families
    assert f"within {LEDGER_CLOSE_SECONDS:g} seconds" in PAGE
