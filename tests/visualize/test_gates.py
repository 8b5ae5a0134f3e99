"""The figure of gates."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from captioner.caption import Caption
from captioner.errors import CaptionerError
from captioner.visualize.gates import gates_figure, save_gates


def caption(gates: dict[str, tuple[float, ...]] | None, betas: tuple[float, ...] | None) -> Caption:
    return Caption(
        "a $red star", ("a", "$red", "star"), -1, (-0.1,) * 3, image=Image.new("RGB", (20, 10)),
        gates=gates, betas=betas,
    )  # fmt: skip


def test_every_gate_has_a_row_with_the_number_of_every_word() -> None:
    lstm = caption({"forget": (0.25, 1.0, 0.5), "input": (0.1, 0.2, 0.3)}, (0.9, 0.8, 0.7))
    figure = gates_figure({"one": lstm, "two": caption(None, None)})
    _, *rows = figure.axes  # the photo, then the rows
    shown = [[text.get_text() for text in axes.texts] for axes in rows]
    assert shown == [["0.25", "1.00", "0.50"], ["0.10", "0.20", "0.30"], ["0.90", "0.80", "0.70"]]
    patches = rows[0].patches
    assert patches[1].get_facecolor()[:3] == pytest.approx((0.0, 0.447, 0.698))
    written = [text.get_text() for text in figure.texts]
    assert written == [
        *("one", "a", "$red", "star", "forget", "input", "β"),
        *("two", "a", "$red", "star", "no gates"),
    ]


def test_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CaptionerError, match="No such file"):
        save_gates({"one": caption(None, None)}, tmp_path / "none" / "gates.png")
