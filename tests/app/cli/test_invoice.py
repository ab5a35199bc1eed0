"""`gatewayz usage --invoice`: each difference between a provider's export and the ledger is named; bad files are one line."""

import csv
import io
import json
from datetime import date
from decimal import Decimal

import pytest

from app.cli.invoice import InvoiceError, InvoiceLine, read_invoice
from app.cli.invoice_comparison import compare
from app.cli.main import main
from app.gateway.ports import LedgerRow
from app.store.usage_report import UsageSums
from tests.app.cli.ledger_file import ledger_file

CONFIG = """
[[providers]]
name = "openai"
base_url = "https://openai.example/v1"
[[models]]
name = "small"
routes = [{ provider = "openai", upstream_model = "gpt-4o-mini" }]
[[models]]
name = "fast"
routes = [{ provider = "openai", upstream_model = "gpt-4o-mini" }]
[[models]]
name = "large"
routes = [{ provider = "openai", upstream_model = "gpt-4o" }]
"""
SECOND = '[[providers]]\nname = "azure"\nbase_url = "https://azure.example/v1"\n'
DAY = date(2026, 11, 1)
NOON = 1_700_049_600_000
"""2023-11-15T12:00Z."""


def call(number, model, inputs, outputs, cost, **changes):
    values = {
        "call_id": f"call_{number}", "started_unix_ms": NOON, "trace_id": "t", "key_id": "k", "plan": "free",
        "operation": "chat", "model": model, "provider": "openai", "status": "success", "error_kind": None,
        "stream": False, "cached": False, "attempts": 1, "input_tokens": inputs, "output_tokens": outputs,
        "usage_estimated": False, "cost_nanousd": cost, "credits_nanousd": 0, "duration_ms": 1, "first_token_ms": None,
    }  # fmt: skip
    return LedgerRow(**(values | changes))


CALLS = [
    call(1, "small", 1_000, 100, 210_000),
    call(2, "fast", 500, 50, 105_000),
    call(3, "large", 2_000, 10, 5_100_000),
    call(4, "large", 0, 0, 0, status="error"),
    call(5, "large", 7, 7, 7, provider="azure"),
    call(6, "large", 9, 9, 90_000, started_unix_ms=NOON + 86_400_000),
]
GOOD = """date,model,input_tokens,output_tokens,cost
2023-11-15,gpt-4o-mini-2024-07-18,"1,000",100,$0.00021
2023-11-15,gpt-4o-mini,500,50,0.000105
2023-11-15,gpt-4o,2000,10,0.0051
2023-11-16,gpt-4o,9,9,0.0001
"""


@pytest.fixture
def run(tmp_path, capsys):
    (tmp_path / "g.toml").write_text(CONFIG)
    url = ledger_file(tmp_path, CALLS)

    def run_command(text, *options, config=CONFIG):
        (tmp_path / "g.toml").write_text(config)
        (tmp_path / "invoice").write_text(text)
        arguments = ["--config", str(tmp_path / "g.toml"), "usage", "--invoice", str(tmp_path / "invoice"), *options]
        return main(arguments, {"GATEWAYZ_DATABASE__URL": url}), capsys.readouterr()

    return run_command


def test_an_invoice_that_agrees(run):
    assert run(GOOD) == (0, ("all 3 lines agree\n", ""))


def test_an_invoice_of_one_line_is_not_one_of_lines(run):
    day = ("--from", "2023-11-16", "--to", "2023-11-16")
    assert run(GOOD, *day)[1].out == "the only line agrees\n"
    assert run(GOOD.replace("gpt-4o,9,9", "gpt-4o,9,8"), *day)[1].out.splitlines()[-1] == "the only line differs"


def test_every_difference_is_named(run):
    invoice = """Day,Model,Prompt Tokens,Completion Tokens,Cost USD
2023-11-15,gpt-4o,1990,11,0.0050
2023-11-15,o3,5,6,0.7
2023-11-17,gpt-4o-realtime,1,1,0
"""
    code, printed = run(invoice)
    assert code == 1
    assert printed.out.splitlines() == [
        "2023-11-15 gpt-4o: input tokens: 2000 in the ledger, 1990 in the invoice, difference +10",
        "2023-11-15 gpt-4o: output tokens: 10 in the ledger, 11 in the invoice, difference -1",
        "2023-11-15 gpt-4o: cost USD: 0.0051 in the ledger, 0.005 in the invoice, difference +0.0001",
        "2023-11-15 gpt-4o-mini: missing in the invoice: the ledger has 1500 input, 150 output, 0.000315 USD",
        "2023-11-15 o3: missing in the ledger: the invoice has 5 input, 6 output, 0.7 USD",
        "2023-11-16 gpt-4o: missing in the invoice: the ledger has 9 input, 9 output, 0.00009 USD",
        "2023-11-17 gpt-4o-realtime: missing in the ledger: the invoice has 1 input, 1 output, 0 USD",
        "5 of 5 lines differ",
    ]
    code, printed = run(invoice, "--format", "csv", "--to", "2023-11-15")
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert (code, len(rows)) == (1, 5)
    assert rows[0] == {
        "day": "2023-11-15", "model": "gpt-4o", "difference": "input tokens", "here": "2000", "there": "1990", "by": "'+10",
    }  # fmt: skip
    code, printed = run(invoice, "--format", "json", "--from", "2023-11-17")
    assert json.loads(printed.out)["differences"][0]["difference"] == "missing here"


def test_only_what_the_file_has_is_compared(run):
    assert run("date,model,cost\n2023-11-16,gpt-4o,0.00009\n")[0] == 0
    assert run("date,model,output_tokens\n2023-11-16,gpt-4o,9\n")[0] == 0


TWO_ROUTES = CONFIG.replace(
    'upstream_model = "gpt-4o" }', 'upstream_model = "gpt-4o" }, { provider = "openai", upstream_model = "gpt-5" }'
)


def test_a_model_with_two_routes_to_the_provider_is_one_line(run):
    """The ledger has one sum for it, whichever of the two served."""
    invoice = """date,model,input_tokens,output_tokens,cost
2023-11-15,gpt-4o-mini,1500,150,0.000315
2023-11-15,gpt-4o-2024-08-06,1500,4,0.004
2023-11-15,gpt-5,500,6,0.0011
2023-11-16,gpt-5,9,8,0.00009
"""
    code, printed = run(invoice, config=TWO_ROUTES)
    assert (code, printed.out.splitlines()) == (
        1,
        [
            "2023-11-16 gpt-4o + gpt-5: output tokens: 9 in the ledger, 8 in the invoice, difference +1",
            "1 of 3 lines differ",
        ],
    )


def test_models_that_share_a_route_are_one_line_with_all_their_names(run):
    linked = TWO_ROUTES.replace(
        '"gpt-4o-mini" }]\n[[models]]\nname = "large"',
        '"gpt-4o-mini" }, { provider = "openai", upstream_model = "gpt-4o" }]\n[[models]]\nname = "large"',
    )
    invoice = """date,model,input_tokens,output_tokens
2023-11-15,gpt-4o-mini,1000,100
2023-11-15,gpt-4o,2000,10
2023-11-15,gpt-5,500,50
2023-11-16,gpt-4o,9,9
"""
    assert run(invoice, config=linked)[1].out == "all 2 lines agree\n"


@pytest.mark.parametrize(
    ("model", "is_snapshot"),
    [
        ("claude-opus-4-20250514", True),
        ("claude-opus-4-2025-05-14", True),
        ("claude-opus-4-0514", True),
        ("claude-opus-4@20250514", True),
        ("claude-opus-4:1", True),
        ("claude-opus-4-1-20250805", False),
        ("claude-opus-4-1", False),
        ("claude-opus-4-32", False),
        ("claude-opus-4-2024", False),
        ("claude-opus-4-20251399", False),
        ("claude-opus-4-mini", False),
        ("claude-opus-4:70b", False),
        ("claude-opus-4.1", False),
        ("claude-opus-40514", False),
    ],
)
def test_a_snapshot_is_a_name_and_a_date_or_version(model, is_snapshot):
    """Another number is that of another model."""
    invoice = {(DAY, "claude-opus-4"): InvoiceLine(input_tokens=5), (DAY, model): InvoiceLine(input_tokens=9)}
    ledger = {(DAY, "opus"): UsageSums(calls=1, input_tokens=14)}
    comparison = compare(invoice, ledger, {"opus": frozenset({"claude-opus-4"})})
    expected = [] if is_snapshot else [("claude-opus-4", "input tokens"), (model, "missing here")]
    assert [(each.model, each.difference) for each in comparison.differences] == expected


def test_a_provider_must_be_clear(run):
    code, printed = run(GOOD, config=CONFIG + SECOND)
    assert (code, printed.err) == (2, "usage: --invoice needs --provider; the configuration has: openai, azure\n")
    assert run(GOOD, "--provider", "openai", config=CONFIG + SECOND)[0] == 0
    assert run("date,model,cost\n2023-11-15,large,0.000000007\n", "--provider", "azure")[0] == 0


def read(tmp_path, text):
    path = tmp_path / "export"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_invoice(path)


ANTHROPIC = """usage_date_utc,model_version,api_key,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,\
usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens
2026-11-01,claude-x,k,1,2,3,4,5
2026-11-01,claude-x,k,10,20,30,40,50
"""
OPENAI = (
    '{"object": "x", "start_time": 1793491200, "model": "gpt-x", "input_tokens": 110, "input_cached_tokens": 40, "output_tokens": 55}\n'
    '{"start_time": "2026-11-01T23:30:00-02:00", "model": "gpt-x", "amount": {"value": 0.06, "currency": "usd"}}\n'
)


def test_the_column_names_of_providers(tmp_path):
    day = date(2026, 11, 1)
    assert read(tmp_path, ANTHROPIC) == {(day, "claude-x"): InvoiceLine(input_tokens=110, output_tokens=55)}
    found = read(tmp_path, "\ufeff" + OPENAI)
    assert found[day, "gpt-x"] == InvoiceLine(input_tokens=110, output_tokens=55)
    assert found[date(2026, 11, 2), "gpt-x"].cost_nanousd == Decimal(60_000_000)


@pytest.mark.parametrize(
    ("figures", "inputs", "outputs"),
    [
        # The writes by time are parts of all writes.
        (
            {
                "input_tokens": 10,
                "cache_creation_input_tokens": 100,
                "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
            },
            110,
            None,
        ),
        (
            {
                "input_tokens": 10,
                "cache_creation_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
            },
            110,
            None,
        ),
        # Anthropic's input is without the cached tokens; that of the others, and an uncached count's sum, are whole.
        ({"input_tokens": 200, "cache_read_input_tokens": 9_800, "output_tokens": 1}, 10_000, 1),
        ({"prompt_tokens": 1_000, "cache_read_input_tokens": 900, "output_tokens": 1}, 1_000, 1),
        ({"prompt_tokens": 0, "input_tokens": 200, "cache_read_input_tokens": 9_800}, 10_000, None),
        ({"input_tokens": 110, "uncached_input_tokens": 10, "cache_read_input_tokens": 100}, 110, None),
        ({"input_tokens": 110, "uncached_input_tokens": 0, "cache_read_input_tokens": 0}, 110, None),
        ({"cache_read_input_tokens": 0, "output_tokens": 0, "completion_tokens": 7}, 0, 7),
        # The total decides.
        ({"input_tokens": 1_000, "cache_read_input_tokens": 900, "output_tokens": 5, "total_tokens": 1_005}, 1_000, 5),
        ({"prompt_tokens": 100, "cache_read_input_tokens": 900, "output_tokens": 5, "total_tokens": 1_005}, 1_000, 5),
        # In an object `usage`.
        ({"usage": {"input_tokens": 5, "output_tokens": 7}}, 5, 7),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 7}}, 5, 7),
        (
            {"usage": {"input_tokens": 1, "cache_read_input_tokens": 2, "cache_creation": {"ephemeral_1h_input_tokens": 3}}},
            6,
            None,
        ),
    ],
    ids=range(13),
)  # fmt: skip
def test_the_input_is_counted_once_and_whole(tmp_path, figures, inputs, outputs):
    found = read(tmp_path, json.dumps({"date": "2026-11-01", "model": "m"} | figures))
    assert found == {(date(2026, 11, 1), "m"): InvoiceLine(input_tokens=inputs, output_tokens=outputs)}


@pytest.mark.parametrize(
    ("header", "row", "nanousd"),
    [
        ("cost", '"$1,234,567.5"', 1_234_567_500_000_000),
        ("cost,currency", "0.5,usd", 500_000_000),
        ("cost,cost_usd,currency", "0.4,0.5,EUR", 500_000_000),
        ("usage.cost", "0.5", 500_000_000),
    ],
)
def test_a_cost_is_in_usd(tmp_path, header, row, nanousd):
    found = read(tmp_path, f"date,model,{header}\n2026-11-01,m,{row}\n")
    assert found[date(2026, 11, 1), "m"].cost_nanousd == nanousd


COMMA = "is not a number: a comma only separates thousands, as in 1,000.50"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no lines of usage"),
        ("date,model,cost\n", "has no lines of usage"),
        ("when,model,cost\n1,m,1\n", "line 2: has nothing for the day: the column is called date, day, "),
        ("date,cost\n2026-11-01,1\n", "line 2: has nothing for the model: the column is called model, "),
        (
            "date,model\n2026-11-01,m\n",
            "line 2: has no tokens and no cost: they are called input_tokens, output_tokens, cost",
        ),
        ("date,model,cost\n\n01/11/2026,m,1\n", "line 3: date '01/11/2026' is not a day as in 2026-11-01"),
        ("date,model,cost\n2026-11-01,m,much\n", "line 2: cost 'much' is not a number"),
        ("date,model,cost\n2026-11-01,m,1e999999\n", "line 2: cost '1e999999' is not a number"),
        ("date,model,cost\n2026-11-01,m,1e-999999\n", "line 2: cost '1e-999999' is not a number"),
        ("date,model,cost\n2026-11-01,m,NaN\n", "line 2: cost 'NaN' is not a number"),
        ("date,model,input_tokens\n2026-11-01,m,1.5\n", "line 2: tokens '1.5' is not a whole number"),
        ("date,model,input_tokens\n2026-11-01,m,-1\n", "line 2: tokens '-1' is not a whole number"),
        ("date,model,cost\n9999-12-31T23:00:00-02:00,m,1\n", "line 2: date '9999-12-31T23:00:00-02:00' is not a day"),
        ('date,model,cost\n2026-11-01,m,"0,05"\n', f"line 2: cost '0,05' {COMMA}"),
        ('date,model,cost\n2026-11-01,m,"0,050"\n', f"line 2: cost '0,050' {COMMA}"),
        ('date,model,cost\n2026-11-01,m,"1.234,50"\n', f"line 2: cost '1.234,50' {COMMA}"),
        ('date,model,cost\n2026-11-01,m,"1,0000"\n', f"line 2: cost '1,0000' {COMMA}"),
        ('date,model,input_tokens\n2026-11-01,m,"1,5"\n', f"line 2: tokens '1,5' {COMMA}"),
        ("date,model,input_tokens\n2026-11-01,m,1.000\n", "line 2: tokens '1.000' is not a whole number"),
        (
            '{"date":"2026-11-01","model":"m","amount":{"value":1.5,"currency":"eur"}}\n',
            "line 1: amount_currency 'eur' is not USD: costs of the ledger are in USD",
        ),
        (
            "date,model,cost,currency\n2026-11-01,m,1,EUR\n",
            "line 2: currency 'EUR' is not USD: costs of the ledger are in USD",
        ),
        ("date,model,Cost (€)\n2026-11-01,m,1\n", "line 2: has no tokens and no cost"),
        ("date,model,cost\n2026-11-01,m,1,2\n", "line 2: has more cells than the header"),
        ('{"date": "2026-11-01"\n', "line 1 is not a JSON object: a file of JSON has one on each line"),
        ("[{}]\n", "line 1 is not a JSON object: a file of JSON has one on each line"),
        ("[" * 100_000, "line 1 is not a JSON object: a file of JSON has one on each line"),
        (b"date,model,cost\n\xff", "is not UTF-8 text"),
        ("x" * 1_000_001, "line 1 is longer than 1,000,000 characters"),
        (
            "date,model,cost\n2026-11-01,\x00" + "y" * 200_000 + ",1\n",
            "is not CSV: field larger than field limit (131072)",
        ),
    ],
    ids=range(29),
)
def test_a_bad_file_is_one_line(tmp_path, text, reason):
    with pytest.raises(InvoiceError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'export'}: {reason}")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_used_is_one_line_and_exit_code_2(run, tmp_path):
    """1 means that the invoice differs."""
    code, printed = run("date,model,cost\n0001-01-01T00:00:00+14:00,m,1\n")
    reason = "line 2: date '0001-01-01T00:00:00+14:00' is not a day as in 2026-11-01"
    assert (code, printed.out, printed.err) == (2, "", f"usage: {tmp_path}/invoice: {reason}\n")
    code, printed = run(GOOD, "--invoice", str(tmp_path / "none.csv"))
    assert code == 2
    assert printed.err == f"usage: {tmp_path}/none.csv: cannot be read: No such file or directory\n"
