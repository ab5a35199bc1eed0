"""Fixtures for every test: the anyio backend is asyncio, as in production."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
