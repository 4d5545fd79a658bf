"""Stylise a photo with MNN alone.

adain export --checkpoint adain_fast --format mnn
pip install mnn numpy pillow
python run_mnn.py mnn photo.jpg style.jpg result.png [alpha [palette]]
"""

import sys

import numpy as np
from MNN import expr, nn
from PIL import Image


def load(path):
    return np.asarray(Image.open(path).convert("RGB"))[None]


folder, photo, style, result, *numbers = sys.argv[1:]
alpha, palette = (np.array([number], "float32") for number in [*map(float, numbers), 1, 1][:2])

runtime = nn.create_runtime_manager(({"backend": "CPU", "precision": "high"},))


def run(name, feeds):
    network = nn.load_module_from_file(f"{folder}/{name}.mnn", [], [], runtime_manager=runtime)
    about = network.get_info()
    inputs = []
    for key in about["inputNames"]:
        kind = expr.dtype.uint8 if feeds[key].dtype == np.uint8 else expr.dtype.float
        value = np.ascontiguousarray(feeds[key])
        inputs.append(expr.const(value, list(value.shape), expr.data_format.NCHW, kind))
    outputs = (np.array(output.read()) for output in network.forward(inputs))
    return dict(zip(about["outputNames"], outputs, strict=True))


code = run("style", {"style": load(style)})
feeds = {"content": load(photo), "alpha": alpha, "palette": palette} | code
picture = run("stylize", feeds)["picture"]
Image.fromarray(np.asarray(picture)[0]).save(result)
