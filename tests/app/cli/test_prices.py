"""`gatewayz prices`: each target with what it costs and where that comes from, exact."""

import json

import pytest

from app.cli.main import main

CONFIG = """
[[providers]]
name = "alpha"
base_url = "https://alpha.example/v1"
trust_reported_cost = true
[[providers]]
name = "beta"
base_url = "https://beta.example/v1"
prices = "catalogue"
catalogue_provider = "openai"
[[models]]
name = "small"
[[models.routes]]
provider = "alpha"
upstream_model = "s-1"
input_usd_per_million = 0.15
output_usd_per_million = 0.6
reasoning_usd_per_million = 0.1234567
price_tiers = [{ above_input_tokens = 200_000, input_usd_per_million = 0.3 }]
[[models.routes]]
provider = "beta"
upstream_model = "ours"
catalogue_model = "gpt-4o"
trust_reported_cost = true
"""
UNPRICED = '[[models]]\nname = "third"\nroutes = [{ provider = "beta", upstream_model = "no-such-model" }]\n'


@pytest.fixture
def run(tmp_path, capsys):
    def run_command(text, *options):
        path = tmp_path / "g.toml"
        path.write_text(text)
        code = main(["--config", str(path), "prices", *options], {})
        return code, capsys.readouterr()

    return run_command


def test_the_table_names_each_target_its_prices_and_their_source(run):
    code, printed = run(CONFIG)
    lines = printed.out.splitlines()
    assert code == 0
    assert lines[0].split() == [
        "model",
        "provider",
        "upstream",
        "model",
        "input",
        "cached",
        "output",
        "reasoning",
        "source",
    ]
    assert lines[1].split() == [
        "small",
        "alpha",
        "s-1",
        "0.15",
        "-",
        "0.6",
        "0.1234567",
        "configuration,",
        "or",
        "as",
        "reported",
    ]
    assert lines[2].split() == ["above", "200,000", "0.3", "-", "-", "-"]
    assert lines[3].split()[:6] == ["small", "beta", "ours", "2.5", "1.25", "10"]
    assert "genai-prices 0." in lines[3]
    assert lines[3].endswith("openai/gpt-4o, or as reported")


def test_json_has_exact_decimal_numbers(run):
    code, printed = run(CONFIG, "--json")
    first, second = json.loads(printed.out)
    assert code == 0
    assert first["prices"] == [
        {"above_input_tokens": 0, "input": "0.15", "output": "0.6", "reasoning": "0.1234567"},
        {"above_input_tokens": 200_000, "input": "0.3"},
    ]
    assert (first["source"], first["trusts_reported_cost"]) == ("configuration", True)
    assert second["prices"][0]["cached_input"] == "1.25"


def test_a_target_without_a_price_is_exit_code_1(run):
    code, printed = run(CONFIG + UNPRICED)
    assert code == 1
    assert [line.split()[-1] for line in printed.out.splitlines() if "no-such-model" in line] == ["unpriced"]
    assert run(UNPRICED.replace("beta", "gone"))[0] == 1


def test_without_models_there_is_a_line(run):
    assert run("")[1].out == "no models are configured\n"
