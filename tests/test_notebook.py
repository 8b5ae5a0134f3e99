"""docs/step_by_step.ipynb runs from its first cell to its last, which compare its sums with the package's."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "step_by_step.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_notebook_says_what_it_is_saved_with(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    words = [printed(cell) for cell in code]
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert [words_of(printed(cell)) for cell in code] == [words_of(text) for text in words]


def printed(cell) -> str:
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


def words_of(text: str) -> list[str]:
    """What does not differ by rounding."""
    return [word for word in text.split() if not any(map(str.isdigit, word))]
