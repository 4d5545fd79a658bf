#!/usr/bin/env python
"""Run docs/adain.ipynb from top to bottom, and write its results into it."""

from __future__ import annotations

from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "adain.ipynb"


def execute(path: Path, timeout: int = 300):
    """A notebook with the results of all its cells.

    Args:
        path: The notebook, which is run in its folder and not changed.
        timeout: Seconds that a cell may take.

    Returns:
        An `nbformat.NotebookNode`, without what is written to standard error, which is of the
        machine and not of the notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", resources=where, record_timing=False
    ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    # The version of Python that ran it is of no interest.
    notebook.metadata.pop("language_info", None)
    return notebook


if __name__ == "__main__":
    import nbformat

    nbformat.write(execute(NOTEBOOK), NOTEBOOK)
    print(f"written: {NOTEBOOK} ({NOTEBOOK.stat().st_size:,} bytes)")
