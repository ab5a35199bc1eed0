"""A board that the renderer has drawn in a browser, and what a person reads on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from playwright.sync_api import Browser, Page

from tests.harness.polling import DEADLINE_SECONDS, wait_for

WINDOW: Final = {"width": 1280, "height": 800}
_READ = """
() => [...document.querySelectorAll(".panel")].map((panel) => ({
  id: Number(panel.dataset.id),
  type: panel.dataset.type,
  is_empty: panel.dataset.state === "empty",
  title: panel.querySelector("h2").innerText,
  body: panel.querySelector(".body").innerText ?? "",
  text: panel.querySelector(".body").textContent,
  values: [...panel.querySelectorAll(".stat-value")].map((each) => each.innerText),
  items: panel.querySelectorAll("[data-series], .stat").length,
  overflow: Math.max(0, ...[...panel.querySelectorAll("[data-overflow]")].map((each) => Number(each.dataset.overflow))),
  least_font: Math.min(99, ...[...panel.querySelectorAll(".stat-name, svg text")].map((each) => parseFloat(getComputedStyle(each).fontSize))),
  has_ink: [...panel.querySelectorAll("canvas")].every((canvas) =>
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((each) => each > 0)),
}))
"""


class DrawnPanel(msgspec.Struct, frozen=True, kw_only=True):
    """A panel as drawn.

    `values` are the large ones. `items` counts values, rows, lines or series that it names. `overflow`: by how many pixels a
    table is wider than its panel. `least_font`: pixels of its smallest name of a value or series. `has_ink`: none of it is a
    blank canvas.
    """

    id: int
    type: str
    is_empty: bool
    title: str
    body: str
    text: str
    values: list[str]
    items: int
    overflow: float
    least_font: float
    has_ink: bool


@contextmanager
def drawn_board(browser: Browser, html: str, theme: str = "light") -> Iterator[Page]:
    """Yield the page once all is drawn; raises `AssertionError` with what the page's script reported."""
    context = browser.new_context(viewport=WINDOW, color_scheme=theme, locale="en-GB", timezone_id="UTC")  # type: ignore[arg-type]
    try:
        page = context.new_page()
        page.set_default_timeout(DEADLINE_SECONDS * 1000)
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.set_content(html)
        panels = page.locator(".panel")
        wait_for(lambda: bool(troubles) or panels.count() > 0, "the board is drawn")
        # Charts are drawn in the frame after their elements.
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert not troubles, "\n".join(troubles)
        yield page
    finally:
        context.close()


def read_panels(page: Page) -> dict[int, DrawnPanel]:
    """Return the panels of a drawn board by their id."""
    found: list[dict[str, Any]] = page.evaluate(_READ)
    return {each["id"]: msgspec.convert(each, DrawnPanel) for each in found}
