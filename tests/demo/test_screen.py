"""What a person sees: the block that refreshes leaves nothing behind, however narrow the terminal is and however it is resized."""

import io
import json
import os
import re

import pytest

from demo.gateway_config import MODELS
from demo.output.screen import Screen, one_line, places, summary
from demo.traffic.counters import TrafficCounters
from tests.reconcile.findings import Findings, Line
from tests.reconcile.report import table

_PIECE = re.compile(r"\x1b\[(\d*)([A-Za-z])|([^\x1b])")


class Terminal(io.StringIO):
    """A terminal as far as the screen uses one: lines wrap, the text scrolls, `ESC[nF`, `ESC[J`, `ESC[2J`, `ESC[H`.

    Resizing moves the text as most terminals do (`reflows`: wrapped lines grow or shrink) or cuts it off.
    """

    def __init__(self, columns: int, lines: int, *, reflows: bool) -> None:
        super().__init__()
        self.size = os.terminal_size((columns, lines))
        self._reflows = reflows
        self._rows = [""]
        self._row = 0
        self._first = 0
        """The first visible row."""

    @property
    def visible(self) -> list[str]:
        return self._rows[self._first :]

    def resize(self, columns: int, lines: int) -> None:
        old = self.size.columns
        self.size = os.terminal_size((columns, lines))
        if self._reflows:
            rows = []
            for row in self._rows:
                rows += [row[start : start + columns] for start in range(0, len(row), columns)] or [""]
            self._rows = rows
        elif columns < old:
            self._rows = [row[:columns] for row in self._rows]
        self._row = len(self._rows) - 1
        self._scroll()

    def write(self, text: str) -> int:
        for number, command, character in _PIECE.findall(text):
            if character == "\n":
                self._next_row()
            elif character:
                if len(self._rows[self._row]) == self.size.columns:
                    self._next_row()
                self._rows[self._row] += character
            elif command == "F":
                self._row = max(self._first, self._row - int(number))
            elif command == "H":
                self._row = self._first
            elif command == "J" and number == "2":
                self._rows[self._first :] = [""] * (len(self._rows) - self._first)
            elif command == "J":
                del self._rows[self._row + 1 :]
                self._rows[self._row] = ""
            else:
                pytest.fail(f"the terminal does not know {command}")
        return len(text)

    def _next_row(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append("")
        self._scroll()

    def _scroll(self) -> None:
        self._first = max(self._first, len(self._rows) - self.size.lines)


def _draw(screen: Screen, terminal: Terminal, times: int = 3) -> None:
    for number in range(times):
        screen.refresh(TrafficCounters(MODELS), elapsed_seconds=1.0 + number, in_flight=3, more=["x" * 200])
        titles = [row.split()[0] for row in terminal.visible if re.match("  [a-z]", row)]
        assert titles == ["requests", "answers", "errors", "tokens", "cost"]
        assert sum(row.startswith("x") for row in terminal.visible) == 1


@pytest.mark.parametrize("reflows", [True, False])
@pytest.mark.parametrize("columns", [120, 60, 30])
def test_the_block_leaves_no_line_behind(columns: int, *, reflows: bool) -> None:
    terminal = Terminal(columns, 24, reflows=reflows)
    screen = Screen(terminal, is_terminal=True, size=lambda: terminal.size)
    screen.say("demo: ready")
    for new_columns, lines in ((columns, 24), (60, 24), (200, 40), (40, 20), (200, 24)):
        terminal.resize(new_columns, lines)
        _draw(screen, terminal)
        assert terminal.visible.count("demo: ready") == 1
    terminal.resize(50, 24)
    screen.say("demo: stopping")
    assert [row for row in terminal.visible if row] == ["demo: ready", "demo: stopping"]


def test_a_block_higher_than_the_terminal_is_cut() -> None:
    terminal = Terminal(80, 4, reflows=True)
    screen = Screen(terminal, is_terminal=True, size=lambda: terminal.size)
    for _ in range(3):
        screen.refresh(TrafficCounters(MODELS), elapsed_seconds=1.0, in_flight=3)
        assert [row.split()[0] for row in terminal.visible if row] == ["requests", "answers", "errors"]


@pytest.mark.parametrize("columns", [30, 40, 60, 80])
def test_a_narrow_terminal_shows_the_whole_summary(columns: int) -> None:
    terminal = Terminal(columns, 24, reflows=True)
    counters = TrafficCounters(MODELS)
    Screen(terminal, is_terminal=True, size=lambda: terminal.size).refresh(counters, elapsed_seconds=1.0, in_flight=3)
    expected = " ".join(summary(counters, elapsed_seconds=1.0, in_flight=3)).split()
    assert " ".join(terminal.visible).split() == expected
    assert all(len(row) < columns for row in terminal.visible)


def test_the_table_shows_the_lines_that_differ_or_all() -> None:
    findings = Findings((Line("same", 1, 1), Line("in range", 1, 2, spare=1), Line("wrong", 1, 2)), notes=("a note",))
    brief, whole = "\n".join(table(findings)), "\n".join(table(findings, shows_all=True))
    assert "wrong" in brief
    assert "same" not in brief
    assert "in range" not in brief
    assert all(what in whole for what in ("same", "in range", "wrong"))
    assert whole.count("<- DIFFERENT") == brief.count("<- DIFFERENT") == 1
    assert table(Findings((Line("same", 1, 1),))) == ["1 lines compared, no difference"]


@pytest.mark.parametrize("has_real_model", [True, False])
def test_the_request_to_try_is_json_with_a_bound_on_its_response(has_real_model):
    line = places("http://h:1", "gwz_k", has_real_model)[-1]
    body = json.loads(line.partition("-d '")[2].removesuffix("'"))
    assert 0 < body["max_tokens"] <= 64
    assert body["model"] in {model.name for model in MODELS} | {"smollm2-135m"}


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 requests (0"), (1, "1 request (1"), (2_000, "2,000 requests (2000")]
)
def test_one_request_is_no_requests(count, words):
    counters = TrafficCounters(MODELS)
    counters.statuses[200] = count
    assert words in one_line(counters, elapsed_seconds=1.0, in_flight=count)
