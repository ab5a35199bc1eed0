"""The configuration file: what it may say, and the one line that a bad one gets."""

import re
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.load import ConfigError, load_config, read_config
from app.config.schema import AppConfig, PlanConfig

EXAMPLE = Path(__file__).parents[3] / "gatewayz.example.toml"
GOOD = """
[[providers]]
name = "alpha"
base_url = "http://127.0.0.1:9/v1"
api_key_env = "ALPHA_KEY"
[[providers]]
name = "beta"
base_url = "https://beta.example/v1"
[[models]]
name = "small"
routes = [{ provider = "alpha", upstream_model = "s-1" }, { provider = "beta", upstream_model = "s-2" }]
[[models]]
name = "large"
routes = [{ provider = "beta", upstream_model = "l-1", input_usd_per_million = 3 }]
[[plans]]
name = "free"
key_requests_per_minute = 60
[server]
port = 0
"""


@pytest.fixture
def write(tmp_path):
    def write_file(text: str) -> Path:
        path = tmp_path / "g.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def structs_of(struct: Any) -> list[Any]:
    found = [struct]
    for field in msgspec.structs.fields(struct):
        for each in (field.type, *get_args(field.type)):
            if isinstance(each, type) and issubclass(each, msgspec.Struct):
                found += structs_of(each)
    return found


def test_a_good_file_and_its_defaults(write) -> None:
    config = load_config(write(GOOD))
    assert [provider.name for provider in config.providers] == ["alpha", "beta"]
    assert config.models[1].routes[0].input_usd_per_million == 3.0
    assert (config.server.port, config.server.host) == (0, "127.0.0.1")
    assert load_config(write("")) == AppConfig()


def test_the_example_loads_and_says_every_default() -> None:
    config = load_config(EXAMPLE)
    assert config.server == AppConfig().server
    for section in (
        "monitoring",
        "telemetry",
        "database",
        "cache",
        "ledger",
        "jobs",
        "retention",
        "breaker",
        "probes",
        "doctor",
    ):
        assert getattr(config, section) == getattr(AppConfig(), section)
    first = config.providers[0]
    for field in msgspec.structs.fields(type(first)):
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        assert field.name in {"name", "base_url"} or getattr(first, field.name) == default


def test_the_example_mentions_every_key() -> None:
    words = set(re.findall(r"^(?:# )?(\w+) = |[{,] (\w+) = |^\[\[?(\w+)\]\]?", EXAMPLE.read_text(), re.MULTILINE))
    mentioned = {word for groups in words for word in groups if word}
    structs = structs_of(AppConfig)
    assert len(structs) >= 13
    keys = {field.name for struct in structs for field in msgspec.structs.fields(struct)}
    assert keys - mentioned == set()
    assert mentioned - keys == set()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("port = 0", 'port = "80"', "server.port: found a string, '80'; allowed: integer"),
        ("port = 0", "port = true", "server.port: found a boolean, true; allowed: integer"),
        (
            "port = 0",
            'cors_origins = ["https://app.example.com/"]',
            "server.cors_origins[0]: 'https://app.example.com/'; allowed: an origin as in",
        ),
        (
            "port = 0",
            'cors_origins = ["*", "https://user:hunter2@app.example.com"]',
            "server.cors_origins[1]: a URL with a user name; allowed: an origin as in",
        ),
        (
            "port = 0",
            'port = 0\n[monitoring]\nopen = true\ntoken_env = "TOKEN"',
            "monitoring.open: true, and monitoring.token_env is set as well; allowed: one of the two",
        ),
        (
            "port = 0",
            "max_concurrent_requests = 10\nmax_concurrent_requests_per_key = 11",
            "server.max_concurrent_requests_per_key: 11; allowed: 1 to max_concurrent_requests (10)",
        ),
        (
            "port = 0",
            "max_body_bytes_in_flight = 1_000_000",
            "server.max_body_bytes_in_flight: 1000000; allowed: max_body_bytes (10485760) or more",
        ),
        (
            "port = 0",
            "max_body_bytes_in_flight_per_key = 1_000_000",
            (
                "server.max_body_bytes_in_flight_per_key: 1000000; "
                "allowed: max_body_bytes (10485760) to max_body_bytes_in_flight (134217728)"
            ),
        ),
        ("port = 0", "port = 65536", "server.port: 65536; allowed: 0 (any free port) to 65535"),
        ("port = 0", "port = -1", "server.port: -1; allowed: 0 (any free port) to 65535"),
        (
            "port = 0",
            "prot = 0",
            "server.prot: unknown key (did you mean port?); allowed: host, port, max_body_bytes, ",
        ),
        ("port = 0", "max_body_bytes = 0", "server.max_body_bytes: 0; allowed: 1 or more"),
        ("port = 0", 'host = "a b"', "server.host: 'a b'; allowed: a host name or address to listen on"),
        (
            "port = 0",
            'host = "0.0.0.0:8000"',
            "server.host: '0.0.0.0:8000'; allowed: a host name or address to listen on",
        ),
        ("port = 0", 'host = "http://127.0.0.1"', "server.host: 'http://127.0.0.1'; allowed: a host name or address"),
        ("port = 0", 'cors_origins = ["https://*.example.com"]', "server.cors_origins[0]: 'https://*.example.com'"),
        ("port = 0", "port = " + "9" * 5_000, "not valid TOML: a number has too many digits"),
        ("port = 0", "shutdown_grace_seconds = nan", "server.shutdown_grace_seconds: nan; allowed: seconds, 0 or more"),
        ("[server]", "[serve]", "serve: unknown key (did you mean server?); allowed: server, monitoring, "),
        ("[server]\nport = 0", "server = 3", "models[1].x"),
        ('name = "beta"\n', "", "providers[1].name: missing; this key is required"),
        (
            'name = "beta"',
            'name = "alpha"',
            "providers[1].name: 'alpha', as providers[0].name; allowed: a name that is used once",
        ),
        ('name = "beta"', 'name = "other"', "providers[1].name: 'other'; allowed: any name but 'other'"),
        ('name = "large"', 'name = "small"', "models[1].name: 'small', as models[0].name"),
        ('name = "large"', 'name = "other"', "models[1].name: 'other'"),
        ('name = "large"', 'name = ""', "models[1].name: ''; allowed: 1 to 128 printable characters"),
        ('name = "large"', 'name = "a\\nb"', "models[1].name: 'a\\nb'; allowed: 1 to 128 printable"),
        ('name = "large"', f'name = "{"x" * 129}"', "models[1].name: 129 characters; allowed: 1 to 128"),
        ('name = "free"', 'name = "other"', "plans[0].name: 'other'"),
        (
            "key_requests_per_minute = 60",
            "key_requests_per_minute = 0",
            "plans[0].key_requests_per_minute: 0; allowed: 1 or more; leave",
        ),
        (
            "key_requests_per_minute = 60",
            'key_requests_per_minute = "x"',
            "plans[0].key_requests_per_minute: found a string, 'x'; allowed: integer",
        ),
        (
            '{ provider = "beta", upstream_model = "l-1"',
            '{ provider = "gamma", upstream_model = "l-1"',
            "models[1].routes[0].provider: 'gamma' is not a configured provider; allowed: 'alpha', 'beta'",
        ),
        (
            "input_usd_per_million = 3",
            "input_usd_per_million = -0.1",
            "models[1].routes[0].input_usd_per_million: -0.1; allowed: 0 to 1,000,000",
        ),
        (
            "input_usd_per_million = 3",
            "price_tiers = [{ above_input_tokens = 9 }]",
            "models[1].routes[0].price_tiers: tiers without prices beside them; allowed: prices of the route itself too",
        ),
        (
            "input_usd_per_million = 3",
            "input_usd_per_million = 3, price_tiers = [{ above_input_tokens = 9 }, { above_input_tokens = 9 }]",
            "models[1].routes[0].price_tiers[1].above_input_tokens: 9; allowed: more than that of the tier before",
        ),
        (
            "input_usd_per_million = 3",
            "input_usd_per_million = 3, price_tiers = [{ above_input_tokens = 0, output_usd_per_million = -1 }]",
            "models[1].routes[0].price_tiers[0].output_usd_per_million: -1.0; allowed: 0 to 1,000,000",
        ),
        (
            'base_url = "https://beta.example/v1"',
            'base_url = "https://beta.example/v1"\nprices = "list"',
            "providers[1].prices: 'list'; allowed: 'configuration', 'catalogue'",
        ),
        (
            "input_usd_per_million = 3",
            "output_usd_per_million = inf",
            "models[1].routes[0].output_usd_per_million: inf",
        ),
        (
            "input_usd_per_million = 3",
            "price = 3",
            "models[1].routes[0].price: unknown key; allowed: ",
        ),
        (
            'name = "large"\n',
            'name = "large"\noperation = "images"\n',
            "models[1].operation: 'images'; allowed: 'chat', 'embeddings'",
        ),
        (
            'name = "large"\n',
            'name = "large"\ncredit_multiplier = nan\n',
            "models[1].credit_multiplier: nan; allowed: 0 to 100,000",
        ),
        ('name = "large"\n', 'name = "large"\ncache_ttl_seconds = -1\n', "models[1].cache_ttl_seconds: -1"),
        (
            'provider = "beta", upstream_model = "s-2"',
            'provider = "alpha", upstream_model = "s-1"',
            "models[0].routes[1]: the same provider and upstream_model again",
        ),
        (
            'name = "beta"\n',
            'name = "beta"\nidle_seconds = 0\n',
            "providers[1].idle_seconds: 0.0; allowed: seconds, more than 0",
        ),
        (
            'name = "beta"\n',
            'name = "beta"\nlatency_limit_seconds = 2\n',
            "providers[1].latency_limit_seconds: 2.0; allowed: more than latency_target_seconds (2.0)",
        ),
        (
            'name = "beta"\n',
            'name = "beta"\nmax_connections = 0\n',
            "providers[1].max_connections: 0; allowed: 1 or more",
        ),
        (
            "https://beta.example/v1",
            "ftp://beta.example/v1",
            "providers[1].base_url: a URL without http(s) scheme or host; allowed: http://",
        ),
        ("https://beta.example/v1", "https:///v1", "providers[1].base_url: a URL without http(s) scheme"),
        (
            "https://beta.example/v1",
            "https://beta.example:99999/v1",
            "providers[1].base_url: a URL whose port is not a number",
        ),
        (
            "https://beta.example/v1",
            "https://beta.example/v1#a",
            "providers[1].base_url: a URL with a fragment",
        ),
        (
            "https://beta.example/v1",
            "https://beta.example/v1?api-key=hidden",
            "providers[1].base_url: a URL with a key in its query",
        ),
        (
            "[server]",
            "[jobs]\nlease_seconds = 0\n[server]",
            "jobs.lease_seconds: 0.0; allowed: seconds, more than 0",
        ),
        (
            "[server]",
            "[retention]\nledger_days = 1\n[server]",
            "retention.ledger_days: 1; allowed: 2 to 36,500: uptime needs 24 hours",
        ),
        (
            "[server]",
            "[ledger]\ncommit_seconds = 0\n[server]",
            "ledger.commit_seconds: 0.0; allowed: seconds, more than 0",
        ),
        (
            "[server]",
            "[breaker]\nfailure_ratio = 1.5\n[server]",
            "breaker.failure_ratio: 1.5; allowed: more than 0, at most 1",
        ),
        (
            "[server]",
            "[breaker]\nopen_seconds = 300.0\n[server]",
            "breaker.max_open_seconds: 240.0; allowed: open_seconds (300.0) or more",
        ),
        (
            "[server]",
            "[probes]\ntimeout_seconds = 31.0\n[server]",
            "probes.timeout_seconds: 31.0; allowed: provider_interval_seconds (30.0) or less",
        ),
        (
            'name = "alpha"',
            'name = "alpha"\nprobe_path = "/models"',
            "providers[0].probe_path: '/models'; allowed: a path below base_url, as in models",
        ),
        (
            "[server]",
            '[database]\nurl = "mysql://h/x"\n[server]',
            "database.url: scheme 'mysql'; allowed: a URL that starts with sqlite+aiosqlite:// or postgresql+asyncpg://",
        ),
        (
            "[server]",
            '[cache]\nurl = "redis://h"\nurl_env = "C"\n[server]',
            "cache.url_env: cache.url is set as well; allowed: one of the two",
        ),
        (
            "[server]",
            '[monitoring]\ntoken_env = "a-b"\n[server]',
            "monitoring.token_env: not the name of an environment variable; allowed: letters",
        ),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_key(write, old, new, says) -> None:
    assert GOOD.count(old) >= 1
    if says == "models[1].x":
        text, says = "server = 3\n" + GOOD.replace(old, ""), "server: found an integer, 3; allowed: table"
    else:
        text = GOOD.replace(old, new)
    assert refusal(write(text)).startswith(says)


def test_a_model_without_routes_and_a_file_without_plans(write) -> None:
    assert (
        refusal(write('[[models]]\nname = "m"\nroutes = []'))
        == "models[0].routes: an empty array; allowed: at least one route"
    )
    assert refusal(write("plans = []")) == "plans: an empty array; allowed: at least one plan"
    nothing = '[[models]]\nname = "m"\nroutes = [{ provider = "p", upstream_model = "u" }]'
    assert refusal(write(nothing)).endswith(
        "'p' is not a configured provider; allowed: none, because none is configured"
    )


def test_toml_that_does_not_parse_is_placed(write) -> None:
    assert "line 2, column 8" in refusal(write("[server]\nport = = 3\n"))


def test_a_missing_file_says_what_names_it(tmp_path) -> None:
    assert "set GATEWAYZ_CONFIG or pass --config" in refusal(tmp_path / "none.toml")
    assert "cannot be read: Is a directory; GATEWAYZ_CONFIG or --config" in refusal(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    assert "is not UTF-8 text" in refusal(tmp_path / "latin.toml")


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path) -> None:
    path = tmp_path / "g.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert len(load_config(path).providers) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[providers]\nname = "a"', "providers: found a table; allowed: array: write [[providers]], once per entry"),
        ("[server]\nhost = 3", "server.host: found an integer, 3; allowed: string"),
        ('[telemetry]\nenabled = "yes"', "telemetry.enabled: found a string, 'yes'; allowed: boolean"),
        ("[[server]]\nport = 1", "server: found an array; allowed: table"),
        ("[doctor]\nloki = 'loki:3100'", "doctor.loki: not an address; allowed: http://HOST:PORT, or off"),
    ],
)
def test_types_are_named_as_toml_names_them(write, text, says) -> None:
    assert refusal(write(text)).startswith(says)


@pytest.mark.parametrize("ending", ["/chat/completions", "/embeddings/", "/Completions", "/models"])
def test_a_base_url_that_ends_in_an_operation_is_refused_with_a_hint(write, ending) -> None:
    said = refusal(write(GOOD.replace("https://beta.example/v1", f"https://beta.example/v1{ending}")))
    assert said.startswith("providers[1].base_url: a URL that ends in /")
    assert said.endswith("the gateway adds it")


def test_variables_override_single_keys(write) -> None:
    environ = {
        "GATEWAYZ_SERVER__PORT": " 9000 ",
        "GATEWAYZ_SERVER__HOST": "::1",
        "GATEWAYZ_TELEMETRY__ENABLED": "false",
        "GATEWAYZ_LEDGER__COMMIT_SECONDS": "1",
        "GATEWAYZ_DATABASE__URL": "sqlite+aiosqlite:///other.db",
        "GATEWAYZ_MONITORING__TOKEN_ENV": "",
        "GATEWAYZ_CONFIG": "/nowhere",
        "GATEWAYZ_PORT_80_TCP": "tcp://10.0.0.1",
    }
    config = load_config(write(GOOD), environ)
    assert (config.server.port, config.server.host) == (9000, "::1")
    assert (config.telemetry.enabled, config.ledger.commit_seconds) == (False, 1.0)
    assert config.database.url == "sqlite+aiosqlite:///other.db"
    assert config.monitoring.token_env is None


REQUIRED = {
    "GATEWAYZ_PROVIDERS__0__NAME": "alpha",
    "GATEWAYZ_PROVIDERS__0__BASE_URL": "https://alpha.example/v1",
    "GATEWAYZ_MODELS__0__NAME": "small",
    "GATEWAYZ_MODELS__0__ROUTES__0__PROVIDER": "alpha",
    "GATEWAYZ_MODELS__0__ROUTES__0__UPSTREAM_MODEL": "s-1",
    "GATEWAYZ_MODELS__0__ROUTES__0__OUTPUT_USD_PER_MILLION": "5.0",
    "GATEWAYZ_MODELS__0__ROUTES__0__PRICE_TIERS__0__ABOVE_INPUT_TOKENS": "200_000",
    "GATEWAYZ_MODELS__0__ROUTES__0__PRICE_TIERS__0__INPUT_USD_PER_MILLION": "5.0",
    "GATEWAYZ_PLANS__0__NAME": "free",
}
CHANGED = {
    "monitoring.open": "true",
    "database.url": "sqlite+aiosqlite:///other.db",
    "cache.url": "redis://127.0.0.1/0",
    "telemetry.spool_folder": "spool",
    "server.host": "::1",
    "server.cors_origins": '["https://app.example.com"]',
    "server.max_concurrent_requests_per_key": "7",
    "server.max_body_bytes_in_flight_per_key": "20_000_000",
    "server.max_body_bytes": "10_000",
    "breaker.max_open_seconds": "300.0",
    "anomalies.error_rise": "0.25",
    "breaker.failure_ratio": "0.25",
    "providers.0.base_url": "https://beta.example/v1",
    "server.tag_headers": '{ team = "x-team" }',
    "providers.0.headers": '{ x-title = "gatewayz" }',
    "providers.0.headers_env": '{ x-team = "TEAM" }',
    "providers.0.proxy": "http://127.0.0.1:3128",
    "providers.0.latency_target_seconds": "3.0",
    "providers.0.api_key_header": "api-key",
    "models.0.operation": "embeddings",
    "models.0.name": "large",
    "plans.0.name": "pro",
    "telemetry.semconv_opt_in": '["http", "database"]',
    "models.0.routes.0.upstream_model": "s-2",
}
KINDS = {int: "300_000_000", float: "4.5", bool: None, str: "SOME_NAME"}


def keys_of(table, path=()):
    for field in msgspec.structs.fields(table):
        entry = (get_args(field.type) or (field.type,))[0]
        is_table = isinstance(entry, type) and issubclass(entry, msgspec.Struct)
        here = (*path, field.name)
        if is_table:
            yield from keys_of(entry, here if entry is field.type else (*here, "0"))
        else:
            yield here, field


def value_at(config, path):
    for part in path:
        config = config[int(part)] if part.isdecimal() else getattr(config, part)
    return config


@pytest.mark.parametrize(("path", "field"), [pytest.param(*each, id=".".join(each[0])) for each in keys_of(AppConfig)])
def test_every_key_has_a_variable(path, field) -> None:
    kinds = {field.type, *get_args(field.type)} if get_origin(field.type) is not dict else set()
    text = CHANGED.get(".".join(path)) or next((KINDS[kind] for kind in (bool, int, float, str) if kind in kinds), None)
    if bool in kinds:
        text = "false" if field.default else "true"
    if path[-1] == "provider":
        text = "alpha"
    before, _ = read_config(None, {name: value for name, value in REQUIRED.items() if not_the(path, name)})
    config, _ = read_config(None, {**REQUIRED, "GATEWAYZ_" + "__".join(path).upper(): text})
    assert config is not None
    assert before is None or value_at(config, path) != value_at(before, path), text
    assert config != AppConfig()


def not_the(path, name):
    return name != "GATEWAYZ_" + "__".join(path).upper()


def test_variables_add_entries_to_those_of_the_file_in_the_order_of_their_numbers(write) -> None:
    environ = {f"GATEWAYZ_PLANS__{index}__NAME": f"plan-{index}" for index in range(11)}
    assert [plan.name for plan in load_config(None, environ).plans] == [f"plan-{index}" for index in range(11)]
    path = write('[[plans]]\nname = "free"\n')
    config = load_config(path, {"GATEWAYZ_PLANS__0__KEY_TOKENS_PER_MINUTE": "5", "GATEWAYZ_PLANS__1__NAME": "pro"})
    assert config.plans == (PlanConfig(name="free", key_tokens_per_minute=5), PlanConfig(name="pro"))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("GATEWAYZ_SERVER__PORT", "eighty", "server.port: found a string, 'eighty'; allowed: integer"),
        ("GATEWAYZ_SERVER__PORT", "70000", "server.port: 70000; allowed: 0 (any free port) to 65535"),
        ("GATEWAYZ_SERVER__PROT", "1", "server has no key prot (did you mean port?); allowed: host, port, "),
        ("GATEWAYZ_SERVR__PORT", "1", "no section servr (did you mean server?); allowed: server, "),
        ("GATEWAYZ_PROVIDERS__NAME", "x", "providers is an array: count its entries from 0, as in PROVIDERS__0__NAME"),
        ("GATEWAYZ_PROVIDERS__7__NAME", "x", "providers has 2 entries: the next one is 2, not 7"),
        ("GATEWAYZ_PROVIDERS__0", "x", "providers[0] is a table or an array of tables; name one of its keys"),
        ("GATEWAYZ_SERVER__PORT__X", "1", "server.port is not a table, so it has no key x"),
        ("GATEWAYZ_PLANS__0__NAME", "other", "plans[0].name: 'other'; allowed: any name but 'other'"),
        ("GATEWAYZ_SERVER__PORT", "\udcff", "the value is not UTF-8 text"),
        ("GATEWAYZ_MONITORING__OPEN", "\udcff", "the value is not UTF-8 text"),
        ("GATEWAYZ_SERVER__HOST", "a\udcff", "the value is not UTF-8 text"),
        ("GATEWAYZ_DATABASE__URL", "mysql://u:s3cret@h", "database.url: scheme 'mysql'; allowed: "),
    ],
)
def test_a_bad_variable_is_named(write, name, value, says) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(GOOD), {name: value})
    assert str(caught.value).startswith(f"environment variable {name}: {says}")
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


toml_values = st.sampled_from(
    ["0", "-1", "1.5", "inf", "nan", "true", '"x"', "[]", "{}", "[{}]", "[{name=1}]", "1979-05-27", '"\\u0000"']
)
field_names = st.sampled_from(
    sorted({field.name for struct in structs_of(AppConfig) for field in msgspec.structs.fields(struct)} | {"zz"})
)
tables = st.sampled_from(
    ["server", "ledger", "[providers]", "[models]", "[plans]", "database", "[models.routes]", "nothing"]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(tables, st.dictionaries(field_names, toml_values, max_size=4)), max_size=4),
    st.dictionaries(field_names, toml_values, max_size=2),
)
def test_any_file_loads_or_is_refused_in_one_line(tmp_path_factory, sections, top) -> None:
    lines = [f"{name} = {value}" for name, value in top.items()]
    for table, values in sections:
        lines += [f"[{table}]", *(f"{name} = {value}" for name, value in values.items())]
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        config = load_config(path)
    except ConfigError as error:
        said = str(error)
        assert "\n" not in said
        assert "Expected" not in said
    else:
        assert isinstance(config, AppConfig)


@pytest.mark.parametrize(
    ("written", "origins"),
    [
        ("[]", ()),
        ('"*"', "*"),
        ('["*"]', ("*",)),
        (
            '["http://localhost:3000", "https://a.example", "tauri://localhost"]',
            ("http://localhost:3000", "https://a.example", "tauri://localhost"),
        ),
    ],
)
def test_origins_are_a_list_or_a_star(tmp_path, written, origins):
    path = tmp_path / "gateway.toml"
    path.write_text(f"[server]\ncors_origins = {written}\n")
    assert load_config(path).server.cors_origins == origins
