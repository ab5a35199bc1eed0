"""Draws all boards from the servers' answers in a browser, and holds what a person reads against the servers' own values."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from dashboards.grafana.board_queries import panel_query
from dashboards.pictures.answers import Servers, TimeRange, board_answers, values_of
from dashboards.pictures.page import build, html
from packages.page import NodeMissingError
from tests.dashboards.drawn_board import DrawnPanel, drawn_board, read_panels
from tests.servers.chromium import find_chromium, running_chromium
from tests.stack.stores import Stores

Answers = Mapping[str, dict[str, Any]]
Drawn = dict[str, dict[int, DrawnPanel]]
Texts = dict[tuple[str, str], list[str]]

MOST_ATTEMPTS: Final = 10
"""A range that ended some seconds ago gets no new samples soon."""

LEAST_FONT_PIXELS: Final = 9.0
"""Smaller text is not read on a screen."""

TEXTS: Final[Mapping[tuple[str, str], Callable[[float], str]]] = {
    ("gatewayz-overview", "USD per hour"): lambda value: f"${value:.2f}",
    ("gatewayz-overview", "Provider health"): lambda value: f"{value:.2f}",
    ("gatewayz-providers", "Provider availability"): lambda value: f"{value:.1f}%",
    ("gatewayz-models", "Lowest uptime, 24 h"): lambda value: f"{100 * value:.1f}%",
    ("gatewayz-cost", "Cost of the time range"): lambda value: f"${value:.2f}",
}
"""By board and title, how a panel of large values writes them: its unit and its decimals."""


async def settled_answers(
    stores: Stores, servers: Servers, documents: Answers, shown: TimeRange
) -> tuple[dict[str, dict[str, Any]], Texts]:
    """Return the answers to all boards, and the texts that the panels of `TEXTS` should show, of one state of the servers.

    The texts are asked for before and after: equal ones mean that no sample of the range arrived meanwhile.
    """
    before = await _texts(stores, documents, shown)
    for _ in range(MOST_ATTEMPTS):
        answers = {uid: await board_answers(servers, document, shown) for uid, document in documents.items()}
        after = await _texts(stores, documents, shown)
        if after == before:
            return answers, after
        before = after
    raise AssertionError(f"samples of {shown} still arrive after {MOST_ATTEMPTS} attempts")


async def _texts(stores: Stores, documents: Answers, shown: TimeRange) -> Texts:
    """Return what the panels of `TEXTS` should show, from Prometheus' values at the end of the range."""
    found = {}
    for (uid, title), text in TEXTS.items():
        panel = next(panel for panel in documents[uid]["panels"] if panel["title"] == title)
        query = panel_query(panel, panel["targets"][0], values_of(documents[uid], shown)).text
        values = await stores.prometheus(query, time=shown.end)
        found[uid, title] = sorted(text(float(each["value"][1])) for each in values)
    return found


def draw_boards(answers: Answers) -> Drawn:
    """Draw each board, and return its panels; nothing where Chromium, or the packages that the page is built from, are missing."""
    if find_chromium() is None:
        return {}
    try:
        built = build()
    except NodeMissingError:
        return {}
    drawn: Drawn = {}
    with running_chromium() as browser:
        for uid, board in answers.items():
            with drawn_board(browser, html(built, board, "light")) as page:
                drawn[uid] = read_panels(page)
    return drawn


def drawing_problems(answers: Answers, drawn: Drawn, texts: Texts) -> list[str]:
    """Return one line for each panel that shows neither its data nor its text, or cannot be read in a window of 1280 x 800 pixels."""
    return [
        f"{uid}: {panel['title']}: {problem}"
        for uid, panels in drawn.items()
        for panel in answers[uid]["document"]["panels"]
        for problem in (
            *_unlike_answers(panel, panels[panel["id"]], answers[uid]["results"][panel["id"]]),
            *_hard_to_read(panels[panel["id"]]),
            *_other_text(panels[panel["id"]], texts.get((uid, panel["title"]))),
        )
    ]


def _unlike_answers(panel: Mapping[str, Any], found: DrawnPanel, results: Mapping[str, Any]) -> list[str]:
    text = panel["fieldConfig"]["defaults"]["noValue"]
    if not any(has_data(each) for each in results.values()):
        return [] if found.is_empty and found.body == text else [f"{found.body!r} instead of {text!r}"]
    return [] if found.items and found.has_ink and not found.is_empty else ["its data is not drawn"]


def _hard_to_read(found: DrawnPanel) -> list[str]:
    problems = [f"its table is {found.overflow:g} pixels wider than the panel"] if found.overflow else []
    return [*problems, f"names of {found.least_font:.1f} pixels"] if found.least_font < LEAST_FONT_PIXELS else problems


def _other_text(found: DrawnPanel, wanted: list[str] | None) -> list[str]:
    shown = sorted(found.values)
    return [] if wanted is None or shown == wanted else [f"{shown} shown, the server has {wanted}"]


def has_data(result: Mapping[str, Any]) -> bool:
    """Whether an answer has something to draw: a number, a line, a trace, an edge."""
    if "edges" in result:
        return any(float(each["value"][1]) > 0 for each in result["edges"]["total"])
    if "data" not in result:
        return bool(result.get("traces"))
    if result["data"]["resultType"] == "streams":
        return bool(result["data"]["result"])
    series = result["data"]["result"]
    return any(text != "NaN" for each in series for _, text in each.get("values", [each.get("value")]))
