"""Mistakes that are easily made: each is one line that names the key and says what to write."""

import re
from collections.abc import Iterator

import msgspec
import pytest

from app.config.load import read_config
from app.config.schema import AppConfig
from app.config.variables import override
from app.config.warnings import config_warnings
from app.gateway.openai.reported_cost import MOST_USD
from app.gateway.pricing import Tokens, price_of
from app.gateway.target_rates import rates_of

PROVIDER = '[[providers]]\nname = "a"\nbase_url = "https://a.example/v1"\n'
ROW_BITS = 64


@pytest.fixture
def mistakes(tmp_path):
    def mistakes_of(text: str, **environ: str) -> list[str]:
        path = tmp_path / "g.toml"
        path.write_text(text)
        return [line.removeprefix(f"{path}: ") for line in read_config(path, environ)[1]]

    return mistakes_of


@pytest.mark.parametrize("table", ["headers", "headers_env"])
@pytest.mark.parametrize(
    ("written", "key", "found"),
    [
        ("x = 1", "x", "an integer"),
        ('x-a = "1", x-b = ["k3y"]', "x-b", "an array"),
        ('"a.b" = 7', '"a.b"', "an integer"),
    ],
)
def test_a_header_of_the_wrong_type_is_named_without_its_value(mistakes, table, written, key, found) -> None:
    says = f'providers[0].{table}.{key}: found {found}; allowed: string, as in {key} = "text"'
    assert mistakes(f"{PROVIDER}{table} = {{ {written} }}") == [says]


def test_a_header_in_a_variable_is_placed_at_the_variable(mistakes) -> None:
    place = "environment variable GATEWAYZ_PROVIDERS__0__HEADERS"
    assert mistakes(PROVIDER, GATEWAYZ_PROVIDERS__0__HEADERS="{ x = 1 }") == [
        f'{place}: providers[0].headers.x: found an integer; allowed: string, as in x = "text"'
    ]
    assert mistakes(PROVIDER, GATEWAYZ_PROVIDERS__0__HEADERS="authorization: k3y") == [
        f'{place}: providers[0].headers: found a string; allowed: table, as in {{ x-title = "shop" }}'
    ]
    hint = "as in GATEWAYZ_PROVIDERS__0__HEADERS='{ x-title = \"shop\" }'"
    assert mistakes(PROVIDER, GATEWAYZ_PROVIDERS__0__HEADERS__X="1") == [
        f"{place}__X: providers[0].headers is set as a whole, {hint}"
    ]


@pytest.mark.parametrize(
    ("line", "key_path"),
    [
        ('headers = { "%s" = "1" }', "providers[0].headers"),
        ('headers_env = { "%s" = "A" }', "providers[0].headers_env"),
        ('api_key_header = "%s"', "providers[0].api_key_header"),
    ],
)
def test_a_name_that_no_header_has_and_a_header_of_the_gateway_are_told_apart(mistakes, line, key_path) -> None:
    for name in ("x title", "", "x:title", "ü"):
        [said] = mistakes(PROVIDER + line % name)
        assert said.startswith(f"{key_path}: {name!r} cannot be the name of a header; allowed: ")
    assert mistakes(PROVIDER + line % "Host") == [
        f"{key_path}: 'Host', which the gateway writes itself; allowed: any other header"
    ]


@pytest.mark.parametrize("port", ["0", "99999", "-1", "abc"])
def test_a_port_that_is_none_is_refused_wherever_an_address_is_written(mistakes, port) -> None:
    host = f"http://h:{port}"
    for text, key_path in (
        (PROVIDER.replace("https://a.example", host), "providers[0].base_url: a URL whose port is not a number"),
        (f'{PROVIDER}proxy = "{host}"', "providers[0].proxy: not a proxy; allowed: an http:// URL with a host, a port"),
        (f'[doctor]\nloki = "{host}"', "doctor.loki: not an address"),
        (f'[server]\ncors_origins = ["{host}"]', f"server.cors_origins[0]: '{host}'"),
    ):
        [said] = mistakes(text)
        assert said.startswith(key_path)


@pytest.mark.parametrize("value", ["https://a.example", "https://u:k3y@a.example", "5"])
def test_what_is_no_list_of_origins_gets_an_example(mistakes, value) -> None:
    [said] = mistakes("", GATEWAYZ_SERVER__CORS_ORIGINS=value)
    assert said.startswith("environment variable GATEWAYZ_SERVER__CORS_ORIGINS: server.cors_origins: found a")
    assert said.endswith('; allowed: array or "*", as in ["https://app.example.com"]')
    assert "k3y" not in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '[telemetry]\nsemconv_opt_in = "http"',
            "semconv_opt_in: found a string, 'http'; allowed: array, as in [\"http\"]",
        ),
        ('[telemetry]\nsemconv_opt_in = ["x"]', "semconv_opt_in[0]: found a string, 'x'; allowed: \"http\" or "),
        ("[models]\nname = 1", "models: found a table; allowed: array: write [[models]], once per entry"),
        (
            '[[models]]\nname = "m"\n[[models.routes]]\nprovider = "a"\nupstream_model = "b"\nprice_tiers = {}',
            "price_tiers: found a table; allowed: array: write [[models.routes.price_tiers]], once per entry",
        ),
    ],
)
def test_what_an_array_holds_is_shown(mistakes, text, says) -> None:
    assert says in mistakes(text)[0]


def leaves(struct: type[msgspec.Struct], path: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(struct):
        yield f"{path}{field.name}"


WRONG = {
    "an integer": "1",
    "a string": '"x"',
    "an array": "[]",
    "a table": "{}",
    "a boolean": "true",
    "a date": "1979-05-27",
}
SECTIONS = [each.name for each in msgspec.structs.fields(AppConfig) if isinstance(each.type, type)]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_wrong_type_is_explained_in_words_of_toml(mistakes, section) -> None:
    known = r'(string|integer|float|boolean|array|table|"[^"]+")( or (string|array|table|"[^"]+"))*(, as in .+)?'
    explained = 0
    for key in leaves(type(getattr(AppConfig(), section))):
        for value in WRONG.values():
            for said in mistakes(f"[{section}]\n{key} = {value}\n"):
                if ": found " in said:
                    explained += 1
                    assert re.fullmatch(rf"{section}\.{key}: found [^;]+; allowed: {known}", said)
    assert explained


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GATEWAYZ__SERVER__PORT", "GATEWAYZ_SERVER__PORT"),
        ("GATEWAYZ___SERVER__PORT", "GATEWAYZ_SERVER__PORT"),
        ("GATEWAYZ_SERVER___PORT", "GATEWAYZ_SERVER__PORT"),
        ("GATEWAYZ_SERVER__PORT__", "GATEWAYZ_SERVER__PORT"),
        ("gatewayz_server__port", "GATEWAYZ_SERVER__PORT"),
        ("GATEWAYZ__PROVIDERS__0__NAME", "GATEWAYZ_PROVIDERS__0__NAME"),
        ("GATEWAYZ_SERVER__", "GATEWAYZ_SECTION__KEY, as in GATEWAYZ_SERVER__PORT"),
        ("GATEWAYZ__", "GATEWAYZ_SECTION__KEY, as in GATEWAYZ_SERVER__PORT"),
        ("GATEWAYZ_SERVER__PO\nRT", "GATEWAYZ_SECTION__KEY, as in GATEWAYZ_SERVER__PORT"),
    ],
)
def test_a_variable_with_underscores_in_the_wrong_place_is_not_ignored(name, meant) -> None:
    assert override({}, {name: "9"}) == ({}, [f"environment variable {' '.join(name.split())}: write {meant}"])
    assert override({}, {name: " "}) == ({}, [])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GATEWAYZ_SERVER_PORT", "GATEWAYZ_SERVER__PORT"),
        ("GATEWAYZ_TELEMETRY_APP_NAME", "GATEWAYZ_TELEMETRY__APP_NAME"),
        ("GATEWAYZ_DATABASE_URL", "GATEWAYZ_DATABASE__URL"),
        ("GATEWAYZ_PROVIDERS_0_BASE_URL", "GATEWAYZ_PROVIDERS__0__BASE_URL"),
    ],
)
def test_one_underscore_where_two_belong_is_warned_of(name, meant) -> None:
    said = f"environment variable {name} is ignored: two underscores stand before a key, as in {meant}"
    assert said in config_warnings(AppConfig(), {name: "9"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAYZ_SERVER_PORT", "tcp://10.0.0.1:80"),
        ("GATEWAYZ_DOCTOR_LOKI", "off"),
        ("GATEWAYZ_CONFIG", "g.toml"),
        ("GATEWAYZ_CACHE_URL", "x"),
        ("GATEWAYZ_SERVER__PORT", "9"),
    ],
)
def test_variables_that_have_a_use_or_are_of_kubernetes_are_not_warned_of(name, value) -> None:
    config = msgspec.convert({"cache": {"url_env": "GATEWAYZ_CACHE_URL"}}, AppConfig)
    assert not [line for line in config_warnings(config, {name: value}) if name in line]


def models(price: str, multiplier: str) -> str:
    return (
        f'{PROVIDER}[[models]]\nname = "m"\ncredit_multiplier = {multiplier}\n'
        f'[[models.routes]]\nprovider = "a"\nupstream_model = "m"\n{price}\n'
    )


@pytest.mark.parametrize(
    ("price", "multiplier", "key"),
    [
        ("output_usd_per_million = 1000000", "1.5", "output_usd_per_million (1000000.0)"),
        ("input_usd_per_million = 100", "100000", "input_usd_per_million (100.0)"),
        ("usd_per_request = 20", "100000", "usd_per_request (20.0)"),
        (
            "input_usd_per_million = 1\nprice_tiers = [{ above_input_tokens = 1, reasoning_usd_per_million = 11 }]",
            "100000",
            "price_tiers[0].reasoning_usd_per_million (11.0)",
        ),
    ],
)
def test_a_charge_that_the_ledger_cannot_hold_is_refused(mistakes, price, multiplier, key) -> None:
    found = f"models[0].credit_multiplier: {float(multiplier)!r} times routes[0].{key}"
    assert mistakes(models(price, multiplier)) == [f"{found}; allowed: a product up to 1,000,000"]


@pytest.mark.parametrize(("price", "multiplier"), [("1000000", "1"), ("10", "100000")])
def test_the_largest_charge_fits_a_row_of_the_ledger(mistakes, tmp_path, price, multiplier) -> None:
    text = models(f"input_usd_per_million = {price}\noutput_usd_per_million = {price}", multiplier)
    assert mistakes(text) == []
    config = read_config(tmp_path / "g.toml", {})[0]
    assert config is not None
    [model] = config.models
    made = price_of(rates_of(model.routes[0], {}), model.credit_multiplier)
    # More tokens than any request that fits into memory.
    cost = made.cost_nanousd(Tokens(2**32, 2**32))
    assert made.credits_nanousd(cost) < 2 ** (ROW_BITS - 1)
    assert made.credits_nanousd(MOST_USD * 10**9) < 2 ** (ROW_BITS - 1)


@pytest.mark.parametrize("days", ["1", "36501", "1" + "0" * 30])
def test_days_that_no_clock_can_subtract_are_refused(mistakes, days) -> None:
    assert mistakes(f"[retention]\nledger_days = {days}") == [
        f"retention.ledger_days: {days}; allowed: 2 to 36,500: uptime needs 24 hours"
    ]
