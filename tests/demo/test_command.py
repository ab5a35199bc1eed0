"""`python -m demo` before anything starts: its help, arguments it does not have, a tree that cannot be written."""

from pathlib import Path

import pytest

from demo import command


def test_help_names_every_setting_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(
        name in text
        for name in ("DEMO_SECONDS", "PORT", "SPEED", "SEED", "SCENARIO", "CONSOLE_PORT", "DEMO_ALL", "--all")
    )


def test_an_unknown_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--port", "80"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --port 80" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A read-only folder would not stop root, under whom tests may run.
    (tmp_path / "file").touch()
    monkeypatch.setattr(command, "ROOT", tmp_path / "file")
    monkeypatch.setenv("PORT", "0")
    assert command.main([]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot create a folder" in said
