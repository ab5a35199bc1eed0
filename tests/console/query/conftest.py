"""A console's store, and a view of it at the harness's now."""

from contextlib import contextmanager

import pytest

from console.query.view import View
from tests.harness.console import NOW_NS, open_console


@pytest.fixture
def console(tmp_path):
    with open_console(tmp_path) as opened:
        yield opened


@pytest.fixture
def look(console):
    """Opens a view of what the store holds now."""

    @contextmanager
    def open_view(now_ns=NOW_NS):
        with console.store.readers.connection() as connection:
            yield View(connection, now_ns)

    return open_view
