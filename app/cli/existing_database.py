"""Finds the database of a command that only reads or changes what a gateway stored, and makes no file."""

from collections.abc import Mapping

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from app.cli.command_error import CommandError
from app.config.load import CONFIG_VARIABLE, resolve_database_url
from app.config.schema import AppConfig
from app.store.database_file import path_of


def existing_database_url(config: AppConfig, environ: Mapping[str, str]) -> str:
    """Return the database's URL; raises `CommandError` where it names a file that is missing, and `ConfigError`.

    A missing folder, a server and a URL that is none are left to the opening, which reports them.
    """
    url = resolve_database_url(config, environ)
    try:
        parsed = make_url(url)
    except ArgumentError:
        return url
    path = path_of(parsed.database) if parsed.get_backend_name() == "sqlite" else None
    if path is not None and path.parent.is_dir() and not path.exists():
        setting = config.database.url_env or "GATEWAYZ_DATABASE__URL"
        raise CommandError(
            f"there is no database {path}; run this in the gateway's folder, or name its configuration with --config FILE"
            f" or {CONFIG_VARIABLE}, or its database with {setting}=sqlite+aiosqlite:///FILE",
            1,
        )
    return url
