from pathlib import Path

import pytest

from bench import counted_server, instructions
from bench.counted_server import Count, Counting
from bench.instructions import Counted, Plan, parse, table
from demo.process import ChildFailedError


class Server:
    pid = 7
    name = "on"


class DumpsByItself(Counting):
    async def _control(self, option: str) -> None:
        """Valgrind writes its files before the control program ends."""


def counted(kind: str, variant: str, loop: float, others: float = 0.0) -> Counted:
    return Counted(variant=variant, kind=kind, loop=loop, others=others)


async def test_a_count_is_that_of_the_newest_dump_by_thread(tmp_path: Path) -> None:
    counting = DumpsByItself(Server(), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ChildFailedError, match="no count of on"):
        await counting.take()
    for name, total in (("7.1-01", 900), ("7.2-01", 100), ("7.2-02", 20), ("7.2-03", 3), ("8.2-01", 5_000)):
        (tmp_path / f"counted.{name}").write_text(f"events: Ir\nfn=(1) f\n1 2\ntotals: {total}\n")
    assert await counting.take() == Count(main=100, others=23)


def test_the_table_compares_what_was_counted() -> None:
    text = table(
        [
            counted("whole", "bare", 500_000.0),
            counted("whole", "on", 1_000_000.0, 100_000.0),
            counted("streamed", "on", 1e6),
        ]
    )
    assert "| whole | bare | 500 | 0 |" in text
    assert "| whole | on | 1000 | 100 |" in text
    assert "| whole |  | 0.50 |  |" in text
    assert "| streamed |  |  |  |" in text


def test_the_command_line_is_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(requests=100, connections=4, variants=("bare", "off", "on"))
    assert parse([]) == (plan, None)
    assert parse(["--requests", "5", "--page", "a.md"])[1] == Path("a.md")
    for wrong in (["--variants", "on,Portkey"], ["--requests", "0"]):
        with pytest.raises(SystemExit):
            parse(wrong)
    assert "'Portkey' is none of bare, off, on" in capsys.readouterr().err


def test_without_valgrind_nothing_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench.instructions"])
    monkeypatch.setattr(counted_server.shutil, "which", lambda _name: None)
    assert instructions.main() == 0
    assert "skipped, because valgrind" in capsys.readouterr().err


def test_the_counted_command_runs_the_module_under_valgrind(tmp_path: Path) -> None:
    command = counted_server.command(tmp_path, ["app", "serve"])
    assert command[0] == "valgrind"
    assert command[-4:] == ["-m", "demo.watchdog", "app", "serve"]
