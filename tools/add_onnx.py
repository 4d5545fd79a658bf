"""Add `encode.onnx` and `decode.onnx` to a preset, so that it is used without Keras.

python tools/add_onnx.py weights/adain_fast
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from adain.export.onnx import export_onnx
from adain.networks.model import StyleTransfer
from adain.presets import preset as presets


def main() -> None:
    folder = Path(sys.argv[1])
    sums = export_onnx(StyleTransfer.from_preset(folder), folder)
    config = presets.read_config(folder)
    config["sha256"] |= sums
    presets.write_config(folder, config)


if __name__ == "__main__":
    main()
