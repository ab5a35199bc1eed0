"""One page of the console in a browser, which records what must never happen: errors, CSP violations, dialogs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect

DESK: Final = (1280, 800)
PHONE: Final = (390, 844)
_DEADLINE_MS: Final = 20_000
_REPORTS_VIOLATIONS: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""


class WatchedPage:
    """The page and its troubles. `open` leads to a screen and waits until it has loaded."""

    def __init__(self, page: Page, base_url: str) -> None:
        self.page = page
        self._base_url = base_url
        self._troubles: list[str] = []
        page.set_default_timeout(_DEADLINE_MS)
        expect.set_options(timeout=_DEADLINE_MS)
        page.add_init_script(_REPORTS_VIOLATIONS)
        page.on("pageerror", lambda error: self._troubles.append(f"exception: {error}"))
        page.on("dialog", self._on_dialog)
        page.on("console", self._on_console)

    def _on_dialog(self, dialog: Any) -> None:
        self._troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_console(self, message: Any) -> None:
        if message.type == "error" and "status of 404" not in message.text:
            self._troubles.append(f"console: {message.text}")

    def open(self, query: str = "") -> Page:
        """Open an address of the page; returns when nothing on it is loading."""
        self.page.goto(f"{self._base_url}/{query}")
        self.settled()
        return self.page

    def settled(self) -> None:
        """Wait until the screen shows what it loads."""
        expect(self.page.locator("main h1")).to_be_visible()
        expect(self.page.locator("main .loading")).to_have_count(0)

    def enter_search(self) -> None:
        """Give the search the focus by its key; what is typed before it has the focus goes elsewhere."""
        self.page.keyboard.press("/")
        expect(self.page.locator("input:focus")).to_be_visible()

    def troubles(self) -> list[str]:
        """Return all exceptions, errors on the console, dialogs and violations of the CSP."""
        return [*self._troubles, *self.page.evaluate("() => window.violations ?? []")]

    def forget(self) -> None:
        """Forget what was expected, such as a failed response that the test itself made."""
        self._troubles.clear()

    def width_beyond_window(self) -> int:
        """Return by how many pixels the document is wider than the window."""
        found: int = self.page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return found


@contextmanager
def watched_page(
    browser: Browser, base_url: str, *, size: tuple[int, int] = DESK, theme: str = "light"
) -> Iterator[WatchedPage]:
    """Yield a page in a fresh profile."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        locale="en-GB",
        # Whatever the zone of the browser, the page shows UTC. This one changes by half an hour.
        timezone_id="Australia/Lord_Howe",
        permissions=["clipboard-read", "clipboard-write"],
    )
    try:
        yield WatchedPage(context.new_page(), base_url)
    finally:
        context.close()
