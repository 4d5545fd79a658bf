"""Stylise a photo with LiteRT (TensorFlow Lite) alone.

adain export --checkpoint adain_fast --format litert
pip install ai-edge-litert numpy pillow
python run_litert.py litert photo.jpg style.jpg result.png [alpha [palette]]
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image


def load(path):
    return np.asarray(Image.open(path).convert("RGB"))[None]


folder, photo, style, result, *numbers = sys.argv[1:]
alpha, palette = (np.array([number], "float32") for number in [*map(float, numbers), 1, 1][:2])

encode = Interpreter(f"{folder}/style.tflite").get_signature_runner()
stylize = Interpreter(f"{folder}/stylize.tflite").get_signature_runner()
code = encode(style=load(style))
picture = stylize(content=load(photo), alpha=alpha, palette=palette, **code)["picture"]
Image.fromarray(np.asarray(picture)[0]).save(result)
