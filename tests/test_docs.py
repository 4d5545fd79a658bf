"""Texts lead to each other, on GitHub and on the site, and the site has all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import adain

ROOT = Path(__file__).resolve().parent.parent

TEXTS = [
    path.relative_to(ROOT).as_posix()
    for folder in ("", "docs", "examples", "images", "weights")
    for path in sorted((ROOT / folder).glob("*.md"))
]


@pytest.fixture(scope="module")
def docs(load_script):
    return load_script("tools/make_docs.py")


def anchors(text: str) -> set[str]:
    """Of a Markdown text's headings, as GitHub and the site make them."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_text_is_in_the_menu(docs):
    menu = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    pages = [docs.site_path(source) for source in docs.sources()]
    assert sorted(menu) == sorted([*pages, *map(docs.reference_path, docs.REFERENCE)])
    assert {*TEXTS, "docs/adain.ipynb"} == set(docs.sources())


@pytest.mark.parametrize("source", TEXTS)
def test_links_lead_somewhere(docs, source):
    for target in docs.links((ROOT / source).read_text(encoding="utf-8")):
        file, anchor = docs.resolve(source, target)
        assert (ROOT / file).is_file(), target
        if anchor:
            assert anchor in anchors((ROOT / file).read_text(encoding="utf-8")), target


def test_every_public_name_is_in_the_reference(docs):
    names = [name for _, page in docs.REFERENCE.values() for name in page]
    assert sorted(name for name in names if "." not in name) == sorted(adain._PUBLIC)


def test_links_for_the_site(docs):
    text = """# A
[docs/tune.md](../docs/tune.md#cards) and [it](../docs/web.md),
`[no](a.md)`, [out](https://a.b/c.md), [up](#a)
![Photos](../docs/alpha.jpg)
![Photos](../docs/strip.jpg)
```sh
[no](a.md)
```
`a` or [`b`](../LICENSE)
"""
    files = set()
    assert list(docs.links(text)) == [
        "../docs/tune.md#cards", "../docs/web.md", "#a", "../docs/alpha.jpg", "../docs/strip.jpg",
        "../LICENSE",
    ]  # fmt: skip
    assert (
        docs.adapt(text, "images/CREDITS.md", files)
        == """# A
[Tuning a style](tune.md#cards) and [it](web.md),
`[no](a.md)`, [out](https://a.b/c.md), [up](#a)
![Photos](docs/alpha.jpg){ width=1216 height=240 }
![Photos](docs/strip.jpg){ width=1616 height=644 loading=lazy }
```sh
[no](a.md)
```
`a` or [`b`](LICENSE.txt)
"""
    )
    assert files == {"docs/alpha.jpg", "docs/strip.jpg", "LICENSE"}


def test_names_are_links(docs):
    text = "`adain.mix` and `adain.load_image()`, `adain.mixer`\n```\n`adain.mix`\n```\n"
    assert docs.link_names(text) == (
        "[`adain.mix`][adain.mix] and [`adain.load_image()`][adain.load_image], `adain.mixer`"
        "\n```\n`adain.mix`\n```\n"
    )


def test_pictures_of_the_notebook(docs, tmp_path):
    page = docs.notebook_page(ROOT / "docs" / "adain.ipynb", tmp_path)
    pictures = sorted(path.name for path in tmp_path.iterdir())
    assert len(pictures) == 8
    assert pictures == sorted(re.findall(r"\]\(([\w-]+\.jpg)\)", page))
    assert page.count("```python\n") == 10
