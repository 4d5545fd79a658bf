"""Arrays in files: what is refused, and that little memory is taken for it."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from adain.inference.style_code import StyleCode
from adain.presets import npz


def npy(header: str, data: bytes = b"", version=(1, 0)) -> bytes:
    """A `.npy` file with any header."""
    text = header.encode("latin1") + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + data


def archive(path, members: dict[str, bytes], method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def refuse(path, match: str, read=npz.load, memory: float = 2**24) -> None:
    """One line with the path, and no more memory than a file of that size is worth."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=match) as caught:
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert peak < memory, peak


FLOATS = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}"


@pytest.mark.parametrize(
    "array",
    [
        np.float32([[1, 2], [3, 4]]), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array(7),
        np.zeros((0, 3)), np.array([True]), np.arange(3, dtype=">i2"), np.float16([1.5]),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_written_is_read(tmp_path, array):
    npz.save(tmp_path / "a.npz", {"x": array}, {"n": 1}, compress=True)
    arrays, about = npz.load(tmp_path / "a.npz")
    assert about == {"n": 1}
    np.testing.assert_array_equal(arrays["x"], array)
    assert arrays["x"].dtype == array.dtype and arrays["x"].flags.writeable
    # NumPy's own reader agrees.
    with np.load(tmp_path / "a.npz") as file:
        np.testing.assert_array_equal(file["x"], array)


@pytest.mark.parametrize(
    "content",
    [
        npy(FLOATS % "(2, 2)", bytes(12)), npy(FLOATS % "(2, 2)", bytes(20)),
        npy(FLOATS % "(1000000, 1000000)"), npy(FLOATS % "(-1,)"),
        npy(FLOATS % "(-1, -4)", bytes(16)),
        npy(FLOATS % "3"), npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", bytes(8)),
        npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}", bytes(16)),
        npy("(" * 5000), npy("{}"), npy("__import__('os').system('true')"), npy("", version=(3, 0)),
        npy(FLOATS % "(1,)", bytes(4), version=(9, 0)), b"", b"text", b"\x93NUMPY",
    ],
)  # fmt: skip
def test_damaged_arrays(tmp_path, content):
    refuse(archive(tmp_path / "a.npz", {"x.npy": content}), "is not a readable .npz file")


@pytest.mark.parametrize("name", ["about.json.npy"])
@pytest.mark.parametrize("text", ["[" * 100_000, "{", "3", "", '["a"]'])
def test_damaged_descriptions(tmp_path, name, text):
    file = io.BytesIO()
    np.save(file, np.frombuffer(text.encode(), np.uint8))
    reason = r"is not a readable .npz file \(about.json is not (JSON|an object)\)"
    refuse(archive(tmp_path / "a.npz", {name: file.getvalue()}), reason)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_cannot_be_bounded(tmp_path, method):
    path = archive(tmp_path / "a.npz", {"x.npy": bytes(10**7)}, method)
    refuse(path, "compressed by another method than deflate")


def test_a_card_that_unpacks_to_gigabytes(tmp_path):
    """256 MiB here, of which 4 may be read."""
    large = npy(FLOATS % str((2**26,)), bytes(2**28))
    path = archive(tmp_path / "card.npz", {"mean_0.npy": large})
    refuse(path, "at most 4 MiB, and has more", StyleCode.load, memory=2**25)


def test_a_card_that_states_a_smaller_size(tmp_path):
    """The sizes in the archive's directory are anyone's to write."""
    path = archive(tmp_path / "card.npz", {"mean_0.npy": npy(FLOATS % str((2**24,)), bytes(2**26))})
    content = path.read_bytes()
    for mark, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = content.index(mark) + place
        content = content[:at] + struct.pack("<I", 1000) + content[at + 4 :]
    path.write_bytes(content)
    refuse(path, "card.npz is not a readable .npz file", StyleCode.load)


def test_a_large_file_is_not_read(tmp_path):
    with open(tmp_path / "card.npz", "wb") as file:
        file.truncate(2**40)
    refuse(tmp_path / "card.npz", "at most 4 MiB, and has more", StyleCode.load)


# === Style cards ===


def card(path, **changes):
    arrays = {"mean_0": np.float32([0.5, 2]), "std_0": np.float32([1, 0])}
    about = {"format": "adain style card 1", "preset": "tiny0", "name": "x"}
    for key, value in changes.items():
        (arrays if key in ("mean_0", "std_0", "mean_1", "std_1") else about)[key] = value
    npz.save(path, arrays, about)
    return path


def test_cards_are_read(tmp_path):
    assert StyleCode.load(card(tmp_path / "a.npz")).name == "x"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean_0": np.float32([np.nan, 1])}, "must be finite"),
        ({"mean_0": np.float32([np.inf, 1])}, "must be finite"),
        ({"mean_0": np.float32([1e30, 1])}, "must be finite, between -65504 and 65504"),
        ({"mean_0": np.float32([-1e6, 1])}, "must be finite, between -65504 and 65504"),
        ({"mean_0": np.array([1e300, 1])}, "must be finite"),
        ({"std_0": np.float32([1e30, 1])}, "must be finite, between"),
        ({"std_0": np.float32([-1, 1])}, "`stds` must be 0 or more"),
        ({"std_0": np.float32([1])}, "equally long"),
        ({"mean_1": np.float32([1])}, "no entry 'std_1'"),
        ({"preset": 3}, "`preset` must be text"),
        ({"name": ["a"]}, "`name` must be text"),
        ({"license": None}, "`license` must be text"),
        ({"colour": "red"}, "unknown entry 'colour'"),
        ({"means": "red"}, "unknown entry 'means'"),
    ],
    ids=str,
)
def test_cards_that_no_picture_makes(tmp_path, changes, message):
    refuse(
        card(tmp_path / "a.npz", **changes), f"is a damaged style card .*{message}", StyleCode.load
    )


def test_a_foreign_archive_is_no_card(tmp_path):
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    refuse(tmp_path / "a.npz", "is not a style card", StyleCode.load)
    np.savez(tmp_path / "b.npz", **{"about.json": np.frombuffer(json.dumps({}).encode(), "uint8")})
    refuse(tmp_path / "b.npz", "is not a style card", StyleCode.load)
