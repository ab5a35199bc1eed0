"""`gatewayz usage`: exact sums as a table, CSV and JSON; every mistake is one line."""

import argparse
import csv
import io
import json

import pytest

from app.cli.main import main
from app.cli.usage import run_usage
from app.cli.usage_output import usd
from app.config.schema import AppConfig, DatabaseConfig
from app.gateway.clock import ManualClock
from app.gateway.ports import LedgerRow
from console.csv_text import inert
from tests.app.cli.ledger_file import ledger_file

DAY_MS = 86_400_000
NOW = 1_700_000_000_000
"""2023-11-14."""


def call(number, **changes):
    values = {
        "call_id": f"call_{number}", "started_unix_ms": NOW - number * DAY_MS, "trace_id": "t", "key_id": "key_1",
        "plan": "free", "operation": "chat", "model": "small", "provider": "alpha", "status": "success",
        "error_kind": None, "stream": False, "cached": False, "attempts": 1, "input_tokens": 27_147,
        "output_tokens": 351, "usage_estimated": False, "cost_nanousd": 6_904_500, "credits_nanousd": 0,
        "duration_ms": 1, "first_token_ms": None, "cached_tokens": 27_146, "cost_source": "priced",
    }  # fmt: skip
    return LedgerRow(**(values | changes))


CALLS = [
    call(0),
    call(1, model="large", cost_nanousd=2**53 + 1, cost_source="reported", exposure_nanousd=1),
    call(2, provider=None, key_id="=1+1", cost_nanousd=0, cost_source=None, cached_tokens=0),
    call(40, cost_nanousd=10**12),
]


@pytest.fixture
def url(tmp_path):
    return ledger_file(tmp_path, CALLS)


@pytest.fixture
def run(url, monkeypatch, capsys):
    def run_command(*options):
        monkeypatch.setattr("app.cli.usage.SystemClock", lambda: ManualClock(unix_ms=NOW))
        try:
            code = main(["usage", *options], {"GATEWAYZ_DATABASE__URL": url})
        except SystemExit as exit_:
            code = exit_.code
        return code, capsys.readouterr()

    return run_command


def test_the_table_has_a_line_per_day_and_the_total(run):
    code, printed = run()
    lines = printed.out.splitlines()
    assert code == 0
    assert lines[0].split() == [
        "day", "calls", "input", "cached", "output", "cost", "USD", "reported", "priced", "exposure", "USD",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:]] == ["2023-11-12", "2023-11-13", "2023-11-14", "total"]
    assert lines[3].split() == ["2023-11-14", "1", "27,147", "27,146", "351", "0.0069045", "0.00", "0.0069045", "0.00"]
    assert lines[4].split()[-4:] == ["9007199.261645493", "9007199.254740993", "0.0069045", "0.000000001"]


def test_json_and_csv_have_every_sum_exactly(run):
    code, printed = run("--by", "model,provider", "--format", "json", "--from", "2023-10-01", "--to", "2023-11-14")
    report = json.loads(printed.out)
    assert code == 0
    assert (report["from"], report["to"], report["by"]) == ("2023-10-01", "2023-11-14", ["model", "provider"])
    assert [(row["model"], row["provider"], row["cost_usd"]) for row in report["rows"]] == [
        ("large", "alpha", "9007199.254740993"),
        ("small", "alpha", "1000.0069045"),
        ("small", "", "0.00"),
    ]
    assert report["total"]["input_tokens"] == 4 * 27_147
    assert report["total"]["exposure_usd"] == "0.000000001"
    code, printed = run("--by", "key", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert code == 0
    assert [(row["key"], row["calls"], row["priced_cost_usd"]) for row in rows] == [
        ("key_1", "2", "0.0069045"),
        ("'=1+1", "1", "0.00"),
    ]


def test_days_without_calls_are_no_error(run):
    assert run("--from", "2020-01-01", "--to", "2020-01-02")[1].out == "no calls from 2020-01-01 to 2020-01-02\n"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--by", "colour"], "usage: --by takes day, provider, model, key, plan and tag:NAME, not 'colour'"),
        (["--by", "tag:'x"], 'and tag:NAME, not "tag:\'x"'),
        (["--by", "day,day"], "usage: --by has a name twice"),
        (["--from", "2023-11-15"], "usage: --from 2023-11-15 is after --to 2023-11-14"),
        (["--from", "yesterday"], "argument --from: 'yesterday' is not a day as in 2026-11-01"),
        (["--to", "0001-01-01"], "argument --to: 0001-01-01 is before 1970-01-01"),
        (["--format", "xml"], "argument --format: invalid choice: 'xml'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run, options, line):
    code, printed = run(*options)
    assert code == 2
    assert line in printed.err.splitlines()[-1]


def test_a_database_that_cannot_be_opened_is_one_line_and_exit_code_1(tmp_path, capsys):
    config = AppConfig(database=DatabaseConfig(url=f"sqlite+aiosqlite:///{tmp_path}/no/g.db"))
    args = type("Args", (), {"by": "day", "since": None, "until": None, "format": "table", "invoice": None})()
    assert run_usage(args, config, {}) == 1
    assert capsys.readouterr().err.startswith("usage: database sqlite")


@pytest.mark.parametrize(
    ("nanousd", "text"),
    [(0, "0.00"), (1, "0.000000001"), (-1_500_000_000, "-1.50"), (10**18 + 1, "1000000000.000000001")],
)
def test_money_is_written_without_a_float(nanousd, text):
    assert usd(nanousd) == text


def test_many_hours_that_are_not_summed_show_progress(tmp_path, capsys):
    url = ledger_file(tmp_path, [call(number, started_unix_ms=NOW - number * 3_600_000) for number in range(1, 251)])
    assert main(["usage", "--from", "2023-11-01", "--to", "2023-11-14"], {"GATEWAYZ_DATABASE__URL": url}) == 0
    assert capsys.readouterr().err.splitlines()[1:] == [  # the first says that there is no configuration file
        "usage: 100 of 250 new hours or days of the ledger are summed",
        "usage: 200 of 250 new hours or days of the ledger are summed",
    ]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("\uff1d1", "'\uff1d1"),
        (" @SUM(A1)", "' @SUM(A1)"),
        ("\nx", "'\nx"),
        ("team;=1+1", "team;'=1+1"),
        ("gpt-4", "gpt-4"),
        ("a=b; c", "a=b; c"),
    ],
)
def test_no_name_is_a_formula_of_a_spreadsheet(text, cell):
    assert inert(text) == cell


@pytest.mark.parametrize("options", [[], ["--invoice", "november.csv", "--provider", "alpha"]])
def test_without_a_database_no_file_is_made(tmp_path, monkeypatch, capsys, options):
    monkeypatch.chdir(tmp_path)
    assert main(["usage", *options], {}) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    line = printed.err.splitlines()[-1]
    assert line.startswith(f"usage: there is no database {tmp_path}/gatewayz.db; ")
    assert all(word in line for word in ("--config FILE", "GATEWAYZ_CONFIG", "GATEWAYZ_DATABASE__URL="))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_database_is_named_with_the_variable_of_its_url(tmp_path):
    config, err = AppConfig(database=DatabaseConfig(url_env="DB_URL")), io.StringIO()
    environ = {"DB_URL": f"sqlite+aiosqlite:///{tmp_path}/other.db"}
    args = argparse.Namespace(invoice=None, by="day", since=None, until=None, format="table")
    assert run_usage(args, config, environ, stderr=err) == 1
    assert f"there is no database {tmp_path}/other.db; " in err.getvalue()
    assert "DB_URL=sqlite+aiosqlite:///FILE" in err.getvalue()
