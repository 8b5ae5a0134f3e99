"""What kinds of shards there are, and by which endings a path or an address is one."""

from __future__ import annotations

from captioner.bulk.places import is_url

SHARD_SIZE = 4000  # lines or rows, unless the user says otherwise
TAR, LIST, TABLE = "tar", "list", "table"
ENDINGS = {
    TAR: (".tar", ".tar.gz", ".tgz"),
    LIST: (".txt", ".lst", ".list"),
    TABLE: (".parquet",),
}


def kind_of(place: str) -> str | None:
    """What kind of shards a file holds, by its name; None: an image or a folder."""
    path = place.lower().partition("?")[0] if is_url(place) else place.lower()
    return next((kind for kind, endings in ENDINGS.items() if path.endswith(endings)), None)
