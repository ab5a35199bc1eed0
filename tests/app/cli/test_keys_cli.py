"""`gatewayz keys`: what a person sees, what a script sees, what goes wrong."""

import argparse
import asyncio
import io
import json

import pytest

from app.cli.keys import add_keys_parser, run_keys
from app.config.schema import AppConfig, DatabaseConfig, PlanConfig
from app.errors import InvalidApiKeyError
from app.gateway.clock import ManualClock
from app.store.database import close_database, open_database
from app.store.key_directory import StoredKeyDirectory
from app.store.keys import ApiKeys
from otel.recording.noop import DisabledRecorder

PLANS = (PlanConfig(name="free"), PlanConfig(name="pro"))


class Terminal:
    """The command with its own clock, database and streams."""

    def __init__(self, url: str) -> None:
        self.config = AppConfig(database=DatabaseConfig(url=url), plans=PLANS)
        self.clock = ManualClock()
        self.environ: dict[str, str] = {}

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser()
        add_keys_parser(parser.add_subparsers(dest="command"), argparse.ArgumentParser(add_help=False))
        out, err = io.StringIO(), io.StringIO()
        args = parser.parse_args(["keys", *arguments])
        code = run_keys(args, self.config, self.environ, clock=self.clock, stdout=out, stderr=err)
        return code, out.getvalue(), err.getvalue()


@pytest.fixture
def terminal(tmp_path) -> Terminal:
    terminal = Terminal(f"sqlite+aiosqlite:///{tmp_path}/new.db")
    asyncio.run(make(terminal.config.database.url))
    return terminal


async def make(url: str) -> None:
    await close_database(await open_database(url, DisabledRecorder()))


def accepted(terminal: Terminal, secret: str) -> bool:
    async def find() -> bool:
        engine = await open_database(terminal.config.database.url, DisabledRecorder())
        keys = ApiKeys(engine, terminal.clock, bytes)
        try:
            await StoredKeyDirectory(keys, PLANS, terminal.clock, DisabledRecorder()).find(secret)
        except InvalidApiKeyError:
            return False
        finally:
            await engine.dispose()
        return True

    return asyncio.run(find())


def test_the_life_of_a_key(terminal) -> None:
    code, out, err = terminal("create", "--name", "Ada", "--plan", "pro", "--trial-days", "7")
    secret, about = out.splitlines()[0], out.splitlines()[2]
    key_id = about.split()[0]
    assert (code, err) == (0, "")
    assert about == f"{key_id} for Ada, plan pro, until 2023-11-21 22:13Z. Only its hash is kept: copy it now."
    assert accepted(terminal, secret)

    code, out, _ = terminal("list")
    assert code == 0
    heading, line = out.splitlines()
    assert heading.split() == ["key_id", "secret", "status", "plan", "created", "trial", "ends", "name"]
    assert line.split()[:4] == [key_id, f"{secret[:8]}…", "active", "pro"]
    assert secret not in out

    assert terminal("revoke", key_id)[:2] == (0, f"{key_id} revoked; running gateways refuse it within 5 seconds\n")
    assert terminal("revoke", key_id)[:2] == (0, f"{key_id} was revoked before, 2023-11-14 22:13Z\n")
    assert " revoked " in terminal("list")[1]
    assert not accepted(terminal, secret)


def test_json_for_scripts(terminal) -> None:
    new = json.loads(terminal("create", "--name", "Ada", "--plan", "free", "--json")[1])
    assert new["secret"].startswith("gwz_")
    assert new["status"] == "active"
    (listed,) = json.loads(terminal("list", "--json")[1])
    assert listed == {name: value for name, value in new.items() if name != "secret"}
    assert json.loads(terminal("revoke", new["key_id"], "--json")[1])["status"] == "revoked"


def test_an_empty_list_says_what_to_do(terminal) -> None:
    assert terminal("list") == (0, "no keys yet; `keys create --name NAME --plan PLAN` makes one\n", "")
    assert terminal("list", "--json")[1].strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["create", "--name", "n", "--plan", "gold"], 2, "keys: no plan 'gold'; the configuration has: free, pro"),
        (["create", "--name", " ", "--plan", "pro"], 2, "keys: --name takes 1 to 128 printable characters"),
        (["create", "--name", "a\nb", "--plan", "pro"], 2, "keys: --name takes 1 to 128 printable characters"),
        (
            ["create", "--name", "n", "--plan", "pro", "--trial-days", "0"],
            2,
            "keys: --trial-days takes 1 to 3650, not 0",
        ),
        (["revoke", "key_nope"], 1, "keys: no key 'key_nope'; `keys list` shows the ids"),
        (["revoke", "gwz_pasted"], 2, "keys: this is a secret; give the key's id, key_…, as `keys list` shows it"),
    ],
)
def test_what_makes_no_sense_is_one_helpful_line(terminal, arguments, code, says) -> None:
    assert terminal(*arguments) == (code, "", says + "\n")


@pytest.mark.parametrize("arguments", [["list"], ["revoke", "key_nope"]])
def test_only_a_new_key_makes_a_database(tmp_path, arguments) -> None:
    terminal = Terminal(f"sqlite+aiosqlite:///{tmp_path}/new.db")
    code, out, err = terminal(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith(f"keys: there is no database {tmp_path}/new.db; ")
    assert list(tmp_path.iterdir()) == []
    assert terminal("create", "--name", "Ada")[0] == 0
    assert terminal("list")[0] == 0


def test_a_database_that_cannot_be_opened_is_one_line(terminal) -> None:
    terminal.config = AppConfig(database=DatabaseConfig(url="sqlite+aiosqlite:////nowhere/x.db"), plans=PLANS)
    code, out, err = terminal("list")
    assert (code, out) == (1, "")
    assert err == "keys: database sqlite+aiosqlite:////nowhere/x.db: cannot be opened: there is no folder /nowhere\n"


def test_the_variable_of_the_database_has_to_be_set(terminal) -> None:
    url = terminal.config.database.url
    terminal.config = AppConfig(database=DatabaseConfig(url_env="DB_URL"), plans=PLANS)
    assert "environment variable DB_URL is not set; database.url_env names it" in terminal("list")[2]
    terminal.environ = {"DB_URL": url}
    assert terminal("list")[0] == 0
