"""An array on the disk that lies in several files, read like the one that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

OPEN = 512  # files that are mapped at a time: an operating system allows a process some thousand


class ShardedArray:
    """Rows of an array whose files have as many rows each, the last one perhaps fewer.

    Indexed by a number it gives that row; by a sequence of numbers a copy of those rows, and of no others; by
    a slice of step 1 an array that reads the same files. What stands behind ``...``, as in
    ``array[..., ::-1]``, is applied to each row when that is read.

    Args:
        opened: gives the memory-mapped array of a file, by its number.
        rows: of each file.
        shape: of the whole, ``(rows, ...)``.
    """

    def __init__(
        self, opened: Callable[[int], np.ndarray], rows: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._opened, self._rows, self.shape, self.dtype = lru_cache(OPEN)(opened), rows, shape, dtype
        self._first, self._index = 0, (...,)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            return self._within(index)
        if isinstance(index, slice):
            return self._part(index)
        if np.ndim(index) == 0:
            return self._row(int(index))
        numbers = np.asarray(index)
        if numbers.dtype == bool:
            raise IndexError("rows are given by their numbers")
        found = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        for place, number in enumerate(numbers.tolist()):
            found[place] = self._row(number)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of it in memory."""
        whole: np.ndarray = self[range(len(self))]
        return whole if dtype is None else whole.astype(dtype)

    def _row(self, number: int) -> np.ndarray:
        if not -len(self) <= number < len(self):
            raise IndexError(f"there is no row {number} of {len(self)}")
        shard, row = divmod(self._first + number % len(self), self._rows)
        found: np.ndarray = self._opened(shard)[row][self._index]
        return found

    def _part(self, rows: slice) -> ShardedArray:
        begin, end, step = rows.indices(len(self))
        if step != 1:
            raise IndexError("a slice of rows has step 1")
        part = self._like((max(end - begin, 0), *self.shape[1:]))
        part._first = self._first + begin
        return part

    def _within(self, index: tuple[Any, ...]) -> ShardedArray:
        if index[:1] != (...,) or self._index != (...,):
            raise IndexError("what is applied to each row stands behind one ...")
        row = np.broadcast_to(np.empty((), self.dtype), self.shape[1:])[index]
        part = self._like((len(self), *row.shape))
        part._index = index
        return part

    def _like(self, shape: tuple[int, ...]) -> ShardedArray:
        part = object.__new__(ShardedArray)
        part.__dict__ |= self.__dict__ | {"shape": shape}
        return part


Features = np.ndarray | ShardedArray
