"""Stylise a photo with OpenVINO alone.

adain export --checkpoint adain_fast --format openvino
pip install openvino numpy pillow
python run_openvino.py openvino photo.jpg style.jpg result.png [alpha [palette]]
"""

import sys

import numpy as np
import openvino
from PIL import Image


def load(path):
    return np.asarray(Image.open(path).convert("RGB"))[None]


folder, photo, style, result, *numbers = sys.argv[1:]
alpha, palette = (np.array([number], "float32") for number in [*map(float, numbers), 1, 1][:2])

# Else bfloat16 where the processor has it: several grey levels off.
exact = {"INFERENCE_PRECISION_HINT": "f32"}
encode = openvino.compile_model(f"{folder}/style.xml", "CPU", exact)
stylize = openvino.compile_model(f"{folder}/stylize.xml", "CPU", exact)
found = encode({"style": load(style)})
names = ("style_mean", "style_std", "palette_mean", "palette_covariance")
code = {name: found[name] for name in names}
feeds = {"content": load(photo), "alpha": alpha, "palette": palette} | code
picture = stylize(feeds)["picture"]
Image.fromarray(np.asarray(picture)[0]).save(result)
