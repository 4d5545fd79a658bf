"""Stylise a photo with ONNX Runtime alone.

adain export --checkpoint adain_fast --format onnx
pip install onnxruntime numpy pillow
python run_onnx.py onnx photo.jpg style.jpg result.png [alpha [palette]]
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image


def load(path):
    return np.asarray(Image.open(path).convert("RGB"))[None]


folder, photo, style, result, *numbers = sys.argv[1:]
alpha, palette = (np.array([number], "float32") for number in [*map(float, numbers), 1, 1][:2])

encode = onnxruntime.InferenceSession(f"{folder}/style.onnx")
stylize = onnxruntime.InferenceSession(f"{folder}/stylize.onnx")
names = [output.name for output in encode.get_outputs()]
code = dict(zip(names, encode.run(names, {"style": load(style)}), strict=True))
feeds = {"content": load(photo), "alpha": alpha, "palette": palette} | code
(picture,) = stylize.run(None, feeds)
Image.fromarray(np.asarray(picture)[0]).save(result)
