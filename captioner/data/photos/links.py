"""Links to folders within a folder that is searched: each photo is found once, and no circle is walked."""

from __future__ import annotations

import os


class Links:
    """Which links to folders lead to what is searched anyway.

    Args:
        root: the folder that is searched.
    """

    def __init__(self, root: str) -> None:
        self._searched = [os.path.realpath(root)]

    def leads_back(self, path: str) -> bool:
        """Whether a folder is a link to what is searched already, or to a folder around that.

        A link that leads elsewhere is taken note of, as it is followed.
        """
        if not os.path.islink(path):
            return False
        target = os.path.realpath(path)
        if any(_within(target, other) or _within(other, target) for other in self._searched):
            return True
        self._searched.append(target)
        return False


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
