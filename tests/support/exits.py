"""Commands run in this process, by their exit status."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from captioner.cli.main import main


def exits(capsys: pytest.CaptureFixture[str]) -> Callable[..., int]:
    """``captioner`` with arguments, to its exit status; what it said is in ``.out`` and ``.err``."""

    def status(*arguments: object) -> int:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        status.out, status.err = said.out, said.err  # type: ignore[attr-defined]
        return int(caught.value.code or 0)

    return status
