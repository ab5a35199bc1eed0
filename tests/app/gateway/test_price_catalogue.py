"""Prices of the catalogue: the same costs as the package computes itself, the configuration wins, and what is not in it is unpriced."""

import json
import random
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

import msgspec
import pytest

from app.config.load import ConfigError
from app.config.schema import AppConfig, ModelConfig, ProviderConfig, RouteConfig
from app.gateway import price_catalogue, read_price_catalogue
from app.gateway.price_catalogue import catalogue_prices
from app.gateway.pricing import Tokens, UsdRates, exact, price_of
from app.gateway.target_rates import rates_of

NOW = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
OPENAI = ProviderConfig(name="proxy", base_url="http://127.0.0.1:1/v1", prices="catalogue", catalogue_provider="openai")


def config(*routes, provider=OPENAI):
    return AppConfig(providers=(provider,), models=(ModelConfig(name="m", routes=routes),))


def route(upstream_model="gpt-4o", **options):
    return RouteConfig(provider="proxy", upstream_model=upstream_model, **options)


def price(target):
    return price_of(
        [
            UsdRates(
                **{name: exact(float(usd)) for name, usd in each.items() if name != "above_input_tokens"},
                above_input_tokens=each["above_input_tokens"],
            )
            for each in target["rates"]
        ]
    )


def test_costs_are_those_that_the_package_computes():
    """A thousand targets of all providers with usage of all lengths, against the package's own decimal arithmetic."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415  it takes 100 MB and two seconds
    from genai_prices.types import Usage  # noqa: PLC0415  likewise

    rng = random.Random(20_261_129)
    now = datetime.fromtimestamp(NOW, UTC)
    known = {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "web_searches_kcount"}
    checked = tiered = 0
    models = [(provider, model) for provider in get_snapshot().providers for model in provider.models]
    rng.shuffle(models)
    for provider, model in models[:1_000]:
        prices = model.get_prices(now)
        keys = {key for key, value in vars(prices).items() if value is not None and not key.startswith("_")}
        varies = isinstance(model.prices, list) and any(hasattr(each.constraint, "start_time") for each in model.prices)
        if not {"input_mtok", "output_mtok"} <= keys <= known or varies:
            continue
        target = {"provider": provider.id, "base_url": "", "model": model.id}
        (found,) = read_price_catalogue.read_catalogue({"unix_seconds": NOW, "targets": [target]})["found"]
        if found is None or found["name"] != f"{provider.id}/{model.id}":
            continue  # an earlier model of the provider matches this name too
        tiered += len(found["rates"]) > 1
        for length in (0, 1, 1_000, 128_000, 200_000, 200_001, 900_000):
            cached, written = (rng.randint(0, length // 2) for _ in range(2))
            output = rng.randint(0, 60_000)
            usage = Usage(
                input_tokens=length, output_tokens=output, cache_read_tokens=cached, cache_write_tokens=written
            )
            exactly = prices.calc_price(usage)["total_price"] * 10**9
            tokens = Tokens(length, output, cached_tokens=cached, cache_write_tokens=written)
            assert price(found).cost_nanousd(tokens) == Decimal(exactly).to_integral_value(ROUND_HALF_UP), found
            checked += 1
    assert checked > 2_000
    assert tiered > 5


def test_a_provider_is_found_by_its_address_or_its_name_and_a_model_by_either_name():
    targets = [
        {"provider": None, "base_url": "https://api.openai.com/v1", "model": "gpt-4o"},
        {"provider": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "gpt-4o"},
        {"provider": None, "base_url": "http://127.0.0.1:1/v1", "model": "gpt-4o"},
        {"provider": "openai", "base_url": "", "model": "no-such-model"},
        {"provider": "no-such-provider", "base_url": "https://api.openai.com/v1", "model": "gpt-4o"},
    ]
    found = read_price_catalogue.read_catalogue({"unix_seconds": NOW, "targets": targets})["found"]
    assert [each and each["name"] for each in found] == ["openai/gpt-4o", "openai/gpt-4o", None, None, None]


def test_a_price_that_varies_with_the_time_of_day_is_the_dearest():
    target = {"provider": "deepseek", "base_url": "", "model": "deepseek-chat"}
    for hour in (0, 3, 12, 20):
        seconds = datetime(2026, 11, 1, hour, tzinfo=UTC).timestamp()
        (found,) = read_price_catalogue.read_catalogue({"unix_seconds": seconds, "targets": [target]})["found"]
        assert found["rates"] == [{"above_input_tokens": 0, "input": "0.27", "cached_input": "0.07", "output": "1.1"}]
        assert "varies with the time of day: the highest price counts" in found["notes"]


def test_the_prices_of_a_day_are_those_that_had_begun():
    target = {"provider": "openrouter", "base_url": "", "model": "meta-llama/llama-3.1-8b-instruct"}

    def output_on(*day):
        seconds = datetime(*day, tzinfo=UTC).timestamp()
        (found,) = read_price_catalogue.read_catalogue({"unix_seconds": seconds, "targets": [target]})["found"]
        return found["rates"][0]["output"]

    assert (output_on(2026, 10, 18), output_on(2026, 10, 19)) == ("0.03", "0.08")


def test_the_configuration_wins_and_what_is_not_in_the_catalogue_is_unpriced():
    own = route("gpt-4o-mini", input_usd_per_million=1.0, output_usd_per_million=2.0)
    routes = (route(), route("ours", catalogue_model="gpt-4o"), own, route("no-such-model"))
    found = catalogue_prices(config(*routes), NOW)
    assert {target: price.name for target, price in found.items()} == {
        ("proxy", "gpt-4o"): "openai/gpt-4o",
        ("proxy", "ours"): "openai/gpt-4o",
    }
    prices = [price_of(rates_of(each, found)) for each in routes]
    assert prices[0] == prices[1]
    # 2.50, 1.25 and 10 USD: the list price of this model for two years.
    assert prices[0].cost_nanousd(Tokens(100, 10, cached_tokens=60)) == 40 * 2_500 + 60 * 1_250 + 10 * 10_000
    assert prices[2].cost_nanousd(Tokens(100, 10)) == 120_000
    assert [each.is_known for each in prices] == [True, True, True, False]


def test_without_a_provider_that_wants_it_nothing_is_read(monkeypatch):
    monkeypatch.setattr(read_price_catalogue, "__file__", "/no/such/file")
    assert (
        catalogue_prices(config(route(), provider=msgspec.structs.replace(OPENAI, prices="configuration")), NOW) == {}
    )
    own = route(input_usd_per_million=1.0, output_usd_per_million=2.0)
    assert catalogue_prices(config(own), NOW) == {}


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import sys; sys.exit(3)", "needs the package genai-prices: install the extra `catalogue`"),
        ("raise ValueError('broken data')", "cannot be read: ValueError: broken data"),
        ("print('{}')", "cannot be read: "),
        ("import time; time.sleep(60)", "cannot be read: TimeoutExpired"),
    ],
)
def test_a_catalogue_that_cannot_be_read_is_one_line(monkeypatch, tmp_path, program, says):
    script = tmp_path / "reader.py"
    script.write_text(program)
    monkeypatch.setattr(read_price_catalogue, "__file__", str(script))
    if "sleep" in program:
        monkeypatch.setattr(price_catalogue, "_SECONDS", 0.2)
    with pytest.raises(ConfigError) as caught:
        catalogue_prices(config(route()), NOW)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_process_that_reads_it_gets_no_secrets(monkeypatch, tmp_path):
    script = tmp_path / "reader.py"
    script.write_text(
        f"import json, os; open({str(tmp_path / 'environ.json')!r}, 'w').write(json.dumps(dict(os.environ)));"
        " print(json.dumps({'version': '1', 'found': [None]}))"
    )
    monkeypatch.setattr(read_price_catalogue, "__file__", str(script))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hunter2")
    assert catalogue_prices(config(route()), NOW) == {}
    assert "hunter2" not in (tmp_path / "environ.json").read_text()


@pytest.mark.live
async def test_a_call_is_priced_by_the_catalogue(make_upstream, make_gateway):
    upstream = await make_upstream()
    catalogue = {
        ("alpha", target): found
        for (_, target), found in catalogue_prices(config(route(), route("gpt-4o-mini")), NOW).items()
    }
    models = [
        ModelConfig(
            name="dear", routes=(RouteConfig(provider="alpha", upstream_model="gpt-4o"),), credit_multiplier=2.0
        ),
        ModelConfig(name="unknown", routes=(RouteConfig(provider="alpha", upstream_model="nothing"),)),
    ]
    gateway = await make_gateway(upstream, models=models, catalogue=catalogue)
    for name in ("dear", "unknown"):
        assert (await gateway.chat(model=name)).status == 200
    recorded = await gateway.finished()
    assert [(row.cost_nanousd, row.credits_nanousd, row.cost_source, row.unpriced_tokens) for row in recorded.rows] == [
        (10 * 2_500 + 4 * 10_000, 130_000, "priced", 0),
        (0, 0, "unpriced", 14),
    ]


def test_the_response_is_json_that_keeps_decimal_numbers():
    target = {"provider": "openai", "base_url": "", "model": "gpt-4o-mini"}
    response = read_price_catalogue.read_catalogue({"unix_seconds": NOW, "targets": [target]})
    assert json.loads(json.dumps(response)) == response
    assert response["found"][0]["rates"][0]["input"] == "0.15"
