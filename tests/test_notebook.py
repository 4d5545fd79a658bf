"""docs/adain.ipynb runs from top to bottom, and shows what it did when it was committed."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def path(root):
    return root / "docs" / "adain.ipynb"


def code_of(notebook) -> list:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def count_pictures(notebook) -> list[int]:
    """How many pictures each cell shows."""
    return [
        sum("image/jpeg" in output.get("data", {}) for output in cell["outputs"])
        for cell in code_of(notebook)
    ]


def test_what_is_committed(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 300_000
    notebook = json.loads(text)
    # GitHub shows them: all cells, run in order, with their pictures.
    assert [cell["execution_count"] for cell in code_of(notebook)] == list(range(1, 11))
    assert count_pictures(notebook) == [1, 1, 1, 1, 1, 1, 1, 0, 0, 1]
    for cell in code_of(notebook):
        assert all(output.get("name") != "stderr" for output in cell["outputs"])


@pytest.mark.slow
def test_top_to_bottom(path, load_script, monkeypatch):
    for module in ("nbclient", "ipykernel", "tensorflow"):
        pytest.importorskip(module)
    # Nothing is fetched: a proxy that is not there.
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    found = load_script("tools/make_notebook.py").execute(path)
    assert count_pictures(found) == count_pictures(json.loads(path.read_text(encoding="utf-8")))
    losses = "".join(output["text"] for output in code_of(found)[8]["outputs"]).splitlines()
    # The loss falls, on the painting that it was trained on.
    first, last = (float(losses[line].rpartition(" ")[2]) for line in (0, -1))
    assert last < first
