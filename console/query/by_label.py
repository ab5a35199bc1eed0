"""Series looked up by the value of a label: a screen has a row for each of thousands of names."""

from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from console.query.shapes.base import Labels


class _Labelled(Protocol):
    @property
    def labels(self) -> Labels: ...


T = TypeVar("T", bound=_Labelled)


class ByLabel(Generic[T]):
    """Series in their order; `all` are all of them."""

    def __init__(self, series: Sequence[T]) -> None:
        self.all = series
        self._groups: dict[str, dict[str, list[T]]] = {}

    def of(self, label: str, value: str) -> Sequence[T]:
        """Return those whose label has a value; a series without the label has the empty one."""
        return self._grouped(label).get(value, ())

    def names(self, label: str) -> Iterable[str]:
        """Return the values of a label."""
        return self._grouped(label).keys()

    def _grouped(self, label: str) -> dict[str, list[T]]:
        groups = self._groups.get(label)
        if groups is None:
            groups = self._groups[label] = {}
            for each in self.all:
                groups.setdefault(each.labels.get(label, ""), []).append(each)
        return groups
