"""Sites: the console's page and API over an empty store."""

import pytest

from tests.harness.console import open_console
from tests.harness.console_site import TOKEN, Site


@pytest.fixture
def console(tmp_path):
    with open_console(tmp_path) as opened:
        yield opened


@pytest.fixture
async def site(console):
    made = Site(console)
    yield made
    made.app.close()
    assert made.lines == []


@pytest.fixture
async def closed_site(console):
    """One that needs a token."""
    made = Site(console, token=TOKEN)
    yield made
    made.app.close()
