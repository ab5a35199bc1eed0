"""`python -m app`: where its options may stand, and what it says when something is missing."""

import pytest

from app.command import main
from app.config_load import CONFIG_VARIABLE

CREATE = ["create", "--name", "anna", "--plan", "free"]


@pytest.fixture
def config_path(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(f'[database]\nurl = "sqlite+aiosqlite:///{tmp_path}/gateway.db"\n')
    return str(path)


@pytest.mark.parametrize("place", [0, 1, 2, 6])
def test_the_configuration_may_be_named_anywhere(config_path, capsys, place):
    arguments = ["keys", *CREATE]
    arguments[place:place] = ["--config", config_path]
    assert main(arguments, {}) == 0
    assert capsys.readouterr().out.startswith("gwz_")


def test_the_option_wins_over_the_variable_and_the_last_over_the_first(config_path, capsys):
    environ = {CONFIG_VARIABLE: "/nowhere.toml"}
    assert main(["--config", config_path, "keys", "list"], environ) == 0
    assert main(["--config", "/nowhere.toml", "keys", "list", "--config", config_path], {}) == 0
    assert main(["keys", "list"], environ) == 1
    assert capsys.readouterr().err.startswith("gateway: /nowhere.toml: no such file")


def test_without_arguments_it_explains_itself(capsys):
    assert main([], {}) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(word in printed.err for word in ("serve", "keys", "--config", CONFIG_VARIABLE))


@pytest.mark.parametrize("command", [["serve"], ["keys", "list"]])
def test_without_a_configuration_it_says_where_to_get_one(capsys, command):
    assert main(command, {}) == 1
    printed = capsys.readouterr().err
    assert all(word in printed for word in ("--config", CONFIG_VARIABLE, "gatewayz.example.toml"))
    assert printed.count("\n") == 1


@pytest.mark.parametrize("port", ["x", "-1", "65536", "1e3", "٣", ""])
def test_a_port_that_is_none_says_what_is_allowed(config_path, capsys, port):
    with pytest.raises(SystemExit) as caught:
        main(["serve", "--config", config_path, "--port", port], {})
    assert caught.value.code == 2
    assert "is not a number from 0 to 65535" in capsys.readouterr().err
