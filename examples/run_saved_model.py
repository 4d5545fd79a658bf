"""Stylise a photo with TensorFlow alone.

adain export --checkpoint adain_fast --format saved_model
pip install tensorflow numpy pillow
python run_saved_model.py saved_model photo.jpg style.jpg result.png [alpha [palette]]
"""

import sys

import numpy as np
import tensorflow as tf
from PIL import Image


def load(path):
    return np.asarray(Image.open(path).convert("RGB"))[None]


folder, photo, style, result, *numbers = sys.argv[1:]
alpha, palette = (np.array([number], "float32") for number in [*map(float, numbers), 1, 1][:2])

encode = tf.saved_model.load(f"{folder}/style")
stylize = tf.saved_model.load(f"{folder}/stylize")
feeds = {"content": load(photo), "alpha": alpha, "palette": palette} | encode.serve(load(style))
picture = stylize.serve({name: tf.constant(value) for name, value in feeds.items()})["picture"]
Image.fromarray(np.asarray(picture)[0]).save(result)
