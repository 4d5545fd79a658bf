"""Build the documentation's site from the README, docs/, the notebook and the docstrings.

    python tools/make_docs.py

Texts stay where GitHub shows them. They are copied to `build/docs`, with links that lead where the
site has the page or file, and MkDocs makes `site` of them; its warnings are errors.
"""

from __future__ import annotations

import base64
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import adain  # noqa: E402

STAGE = ROOT / "build" / "docs"
ICON = "adain/studio/page/icon.svg"
PAGES = {
    "README.md": "overview.md",
    "docs/gallery.md": "index.md",
    "docs/adain.ipynb": "notebook.md",
    "MODEL_CARD.md": "model-card.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples.md",
    "images/CREDITS.md": "credits.md",
    "weights/README.md": "weights.md",
}
"""Where the site has a text that is not `docs/NAME.md`."""

ALONE = ("docs/gallery.md", "README.md")
"""Pages without others beside them, which are as wide as both."""

REFERENCE = {
    "Stylising": (
        "Pictures in, pictures out, with every control of `adain stylize`.",
        ["StylizePipeline", "StylizeOptions", "StyleMix", "Region", "StylizeConfig"],
    ),
    "Networks and styles": (
        "Encoders, decoders and style codes, without the controls.",
        [
            "load_stylizer", "inference.stylizer.Stylizer", "StyleTransfer", "StyleCode", "mix",
            "adaptive_instance_normalization", "mean_std", "Preset", "available_presets",
        ],
    ),
    "Pictures": (
        "Files to HWC uint8 sRGB arrays, and back.", ["load_image", "save_image"],
    ),
    "Training": (
        "Networks on two folders of pictures, and style cards on one style.",
        ["train", "TrainConfig", "AdaINTrainer", "StyleContentDataset", "tune", "TuneConfig"],
    ),
    "Optimising": (
        "The slow method: the picture's pixels are optimised.",
        ["optimize_image", "OptimizeConfig"],
    ),
    "Errors": (
        "Beside Python's own; all are one line with what was expected and what was received.",
        [
            "options.UsageError", "imaging.formats.ImageError", "presets.preset.PresetError",
            "engines.engine.EngineError", "training.callbacks.TrainingError",
            "optimization.gatys.OptimizationError", "extras.MissingExtra",
        ],
    ),
}  # fmt: skip
"""Pages of the reference: an introduction, and names of `adain`."""

_FENCE = re.compile(r"^(```.*?^```)$", re.MULTILINE | re.DOTALL)
_TARGET = r"\]\(([^()\s]+)\)"
_LINK = re.compile(
    rf"(`+[^`]+`+)(?:{_TARGET})?|(!\[[^\]]*)?(?:\[([\w./-]+\.(?:md|ipynb)))?{_TARGET}"
)
"""The end of a link or picture, from code or the name of a file on, and code that is no link."""


def site_path(source: str) -> str | None:
    """Where the site has a text of the repository; None if it is no page."""
    if re.fullmatch(r"docs/[^/]+\.md", source):
        return PAGES.get(source, source.removeprefix("docs/"))
    return PAGES.get(source)


def sources() -> list[str]:
    """The texts that are pages, as paths in the repository."""
    return sorted({*PAGES, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))})


def edit_prose(text: str, edit: Callable[[str], str]) -> str:
    """A Markdown text with all of it edited but code blocks."""
    return "".join(
        part if place % 2 else edit(part) for place, part in enumerate(_FENCE.split(text))
    )


def links(text: str) -> Iterator[str]:
    """Targets of links and pictures in a Markdown text that lie in the repository."""
    for match in _LINK.finditer("".join(_FENCE.split(text)[::2])):
        target = match[2] or match[5]
        if target and "://" not in target:
            yield target


def resolve(source: str, target: str) -> tuple[str, str]:
    """The file in the repository to which a link in `source` leads, and the anchor in it."""
    path, _, anchor = target.partition("#")
    folder = posixpath.dirname(source)
    return posixpath.normpath(posixpath.join(folder, path)) if path else source, anchor


def adapt(text: str, source: str, files: set[str]) -> str:
    """A page's text with links for the site; what else it links is added to `files`."""
    page = site_path(source)
    first = True

    def replace(match: re.Match) -> str:
        nonlocal first
        code, image, path, target = match[1], match[3], match[4], match[2] or match[5]
        if not target or "://" in target:
            return match[0]
        file, anchor = resolve(source, target)
        place = site_path(file)
        if place is None:
            files.add(file)
            place = asset_path(file)
        place = "" if file == source else posixpath.relpath(place, posixpath.dirname(page) or ".")
        end = f"]({place}#{anchor})" if anchor else f"]({place})"
        if not image:
            return f"[{title_of(file)}{end}" if path else f"{code or ''}{end}"
        # Places are kept free for pictures, and all but the first are loaded when they are seen.
        size, first = size_of(ROOT / file) + ("" if first else " loading=lazy"), False
        return f"{image}{end}{{ {size} }}"

    return edit_prose(text, lambda prose: _LINK.sub(replace, prose))


def asset_path(file: str) -> str:
    """Where the site has what is no page; browsers show text only by its suffix."""
    return file if posixpath.splitext(file)[1] else f"{file}.txt"


def title_of(source: str) -> str:
    text = (ROOT / source).read_text(encoding="utf-8")
    if source.endswith(".ipynb"):
        text = "".join(json.loads(text)["cells"][0]["source"])
    return text.partition("\n")[0].removeprefix("# ")


def size_of(picture: Path) -> str:
    from PIL import Image

    with Image.open(picture) as image:
        return "width={} height={}".format(*image.size)


def link_names(text: str) -> str:
    """`adain.NAME` in a page's prose as a link to the reference."""
    names = "|".join(adain._PUBLIC)
    pattern = re.compile(rf"(?<![`\[])`adain\.({names})(\(\))?`(?!`)")
    return edit_prose(text, lambda prose: pattern.sub(r"[`adain.\1\2`][adain.\1]", prose))


def notebook_page(path: Path, files: Path) -> str:
    """A notebook as Markdown: texts, code, what it printed, and its pictures as files."""
    parts = []
    for place, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                parts.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
            elif picture := output.get("data", {}).get("image/jpeg"):
                file = files / f"{path.stem}-{place}.jpg"
                file.write_bytes(base64.b64decode("".join(picture)))
                parts.append(
                    f"![What the cell shows]({file.name}){{ {size_of(file)} loading=lazy }}"
                )
    return "\n\n".join(parts) + "\n"


def reference_path(title: str) -> str:
    return f"api/{title.partition(' ')[0].lower()}.md"


def reference_page(title: str) -> str:
    introduction, names = REFERENCE[title]
    parts = [f"# {title}", introduction, *(f"::: adain.{name}" for name in names)]
    return "\n\n".join(parts) + "\n"


def stage() -> None:
    """Write `build/docs`."""
    shutil.rmtree(STAGE, ignore_errors=True)
    (STAGE / "api").mkdir(parents=True)
    files: set[str] = set()
    for source in sources():
        if source.endswith(".ipynb"):
            text = notebook_page(ROOT / source, STAGE)
        else:
            text = adapt((ROOT / source).read_text(encoding="utf-8"), source, files)
        if source in ALONE:
            text = f"---\nhide: [navigation]\n---\n\n{text}"
        (STAGE / site_path(source)).write_text(link_names(text), encoding="utf-8")
    for title in REFERENCE:
        (STAGE / reference_path(title)).write_text(reference_page(title), encoding="utf-8")
    for file in sorted(files):
        place = STAGE / asset_path(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, place)
    shutil.copyfile(ROOT / ICON, STAGE / "icon.svg")


def other_hosts() -> list[str]:
    """What the site's pages would load from elsewhere."""
    loads = re.compile(r"""<(?:script|img|link)\b[^>]* (?:src|href)=["']?(\w*:?//[^"' >]+)""")
    pages = sorted((ROOT / "site").rglob("*.html"))
    texts = [page.read_text(encoding="utf-8") for page in pages]
    return sorted({url for text in texts for url in loads.findall(text)})


def main() -> None:
    stage()
    # The theme's notice of its successor is in mkdocs.yml.
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(command, cwd=ROOT, env=env)
    if done.returncode:
        sys.exit(done.returncode)
    if found := other_hosts():
        sys.exit("error: pages must load nothing from other hosts. Found: " + ", ".join(found))
    print(f"Open {ROOT / 'site' / 'index.html'}")


if __name__ == "__main__":
    main()
