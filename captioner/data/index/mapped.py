"""Arrow files that are memory-mapped: every process reads the pages it needs, and the disk's cache is shared.

All batches of a file have the same number of rows, the last one fewer, so a row is found without a search.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError, first_line
from captioner.system.atomic_files import whole_file

ROWS = 1 << 15  # of a batch
METADATA = b"captioner"


def has_arrow() -> bool:
    """Whether pyarrow is installed."""
    return find_spec("pyarrow") is not None


def write_mapped(
    path: Path, schema: Any, metadata: dict[str, Any], rows: int, batches: Iterable[list[Any]]
) -> None:
    """Write a file whole or not at all.

    Args:
        schema: pyarrow's.
        metadata: plain values.
        batches: each a list of ``rows`` values for every field, the last one of fewer.

    Raises:
        CaptionerError: it cannot be written.
    """
    import pyarrow as pa

    schema = schema.with_metadata({METADATA: json.dumps(metadata | {"rows": rows}).encode()})
    with whole_file(path, "run.cache") as file, pa.ipc.new_file(file, schema) as writer:
        for columns in batches:
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


class Mapped:
    """A file of :func:`write_mapped`.

    Attributes:
        path: the file.
        metadata: what was written with it.
        rows: of a batch.

    Raises:
        CaptionerError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            self.metadata: dict[str, Any] = json.loads(self._reader.schema.metadata[METADATA])
            self.rows = int(self.metadata["rows"])
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
            raise self.damaged(error) from error
        self._batches: dict[int, Any] = {}

    def batch(self, number: int) -> Any:
        """A batch of rows; its offsets are checked at its first use, as a wrong one would end the process.

        Raises:
            CaptionerError: it is damaged.
        """
        found = self._batches.get(number)
        if found is None:
            import pyarrow as pa

            try:
                found = self._reader.get_batch(number)
                found.validate(full=True)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise self.damaged(error) from error
            self._batches[number] = found
        return found

    def damaged(self, error: Exception) -> CaptionerError:
        """What to say of the file, and to do about it."""
        return CaptionerError(f"run.cache: {self.path} is damaged ({first_line(error)}); delete it")
