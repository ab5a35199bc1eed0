"""Where each panel of a board is on the grid: rows from the top, panels from the left."""

from collections.abc import Iterator

import msgspec

from dashboards.grafana.model import COLUMNS, Dashboard, Panel


class Place(msgspec.Struct, frozen=True):
    """A panel's corner and size, in columns and rows of the grid."""

    x: int
    y: int
    width: int
    height: int


def places(dashboard: Dashboard) -> Iterator[tuple[Panel, Place]]:
    """Yield each panel with its place; raises ValueError for a row that does not fill the grid exactly."""
    y = 0
    for row in dashboard.rows:
        x = 0
        for panel in row.panels:
            yield panel, Place(x, y, panel.width, row.height)
            x += panel.width
        if x != COLUMNS:
            raise ValueError(f"{dashboard.uid}: the row of {row.panels[0].title!r} is {x} columns wide, not {COLUMNS}")
        y += row.height
