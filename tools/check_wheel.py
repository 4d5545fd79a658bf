"""Install a built wheel into a new environment, and stylise a picture with every preset it holds.

python -m build && python tools/check_wheel.py dist
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("keras", "tensorflow", "jax", "torch", "onnx")
"""What a plain installation must not bring."""


def check(folder: Path, place: Path) -> None:
    (wheel,) = folder.glob("*.whl")
    venv.create(place / "env", with_pip=True)
    bin = place / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    # Away from the checkout, whose package would be found first.
    environment = {**os.environ, "ADAIN_CACHE": str(place / "cache")}
    environment.pop("PYTHONPATH", None)

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(bin / words[0]), *words[1:]],
            cwd=place, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    run("python", "-m", "pip", "install", "--disable-pip-version-check", "-q", str(wheel))
    code = f"from importlib.util import find_spec; print(*filter(find_spec, {HEAVY}))"
    if found := run("python", "-c", code).split():
        sys.exit(f"a plain installation brings {', '.join(found)}")
    code = "import adain; print(adain.__file__, *adain.available_presets(), sep='\\n')"
    package, *presets = run("python", "-c", code).splitlines()
    if not Path(package).is_relative_to(place.resolve()) or not presets:
        sys.exit(f"the wheel was not used, or holds no presets: {package}, {presets}")
    photo, style = ROOT / "images/inputs/cat.jpg", ROOT / "images/styles/mosaic.jpg"
    for preset in presets:
        output = place / f"{preset}.jpg"
        words = ["--content-path", str(photo), "--style-path", str(style), "--content-size", "128"]
        words += ["--checkpoint", preset, "--out-path", str(output)]
        run("adain", "stylize", *words)
        print(f"{preset}: {output.stat().st_size} bytes")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        check(Path(sys.argv[1]).resolve(), Path(place))
