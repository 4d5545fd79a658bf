"""`adain optimize --sheet`: what stands in which cell, and what keeps a sheet from being made."""

from __future__ import annotations

import json

import numpy as np
import pytest

from adain import cli
from adain.constants import LAYERS
from adain.imaging.contact_sheet import sheet_size
from adain.imaging.io import load_image, save_image
from adain.imaging.resize import resize_image
from adain.optimization.config import OptimizeConfig

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture
def place(tmp_path, tiny_preset, picture):
    """Two photos and two styles; `run(...)` optimises them."""

    class Place:
        out = tmp_path / "out"
        photos = [tmp_path / name for name in ("a.png", "b.png")]
        styles = [tmp_path / name for name in ("x.png", "y.png")]

        def run(self, *flags, content=(), style=(), out=out, steps=3):
            words = ["optimize", "--out-path", out, "--checkpoint", tiny_preset, "--quiet"]
            words += ["--content-size", 0, "--style-size", 0, "--steps", steps]
            words += ["--content-path", *content] if content else []
            words += ["--style-path", *style] if style else []
            return cli.main([*map(str, words), *map(str, flags)])

        def sheet(self, kind, *flags, **how):
            assert self.run("--sheet", kind, *flags, **how) == 0
            return load_image(self.out / f"sheet_{kind}.png")

    for number, (path, size) in enumerate(
        zip(Place.photos + Place.styles, [(24, 32), (32, 16), (40, 40), (16, 48)], strict=True)
    ):
        save_image(path, picture(*size, seed=number))
    return Place()


def cell(sheet, row, column, room, size=None):
    """What stands in a cell of `room` pixels, `(height, width)`."""
    height, width = size or room
    top, left = 22 + row * (22 + room[0] + 4), column * (room[1] + 4)
    return sheet[top : top + height, left : left + width]


def test_where_nothing_can_be_written_is_told_before_the_work(place, tmp_path, capsys):
    out = place.photos[0] / "out"
    for flags in ([], ["--sheet", "grid"]):
        assert place.run(*flags, content=place.photos, style=place.styles, out=out) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and f"{place.photos[0]} is not a folder" in error


def test_textures_have_no_more_pixels_than_pictures(place, capsys):
    assert place.run("--size", "99999999x9", style=place.styles) == 2
    assert "`size` must be --max-pixels" in capsys.readouterr().err


def test_cells_of_a_grid_are_the_single_pictures(place):
    flags = ["--start", "noise", "--seed", 5]
    sheet = place.sheet("grid", *flags, content=place.photos, style=place.styles)
    room = (32, 32)
    assert sheet.shape == (*sheet_size([3, 3, 3], room), 3)
    assert (cell(sheet, 0, 0, room) == 255).all()
    for number, path in enumerate(place.photos):
        photo = load_image(path)
        shown = cell(sheet, 1 + number, 0, room, photo.shape[:2])
        np.testing.assert_array_equal(shown, photo)
    # Styles have other sizes, and are fitted into the cells.
    for number, (path, size) in enumerate(zip(place.styles, [(32, 32), (11, 32)], strict=True)):
        style = resize_image(load_image(path), size)
        np.testing.assert_array_equal(cell(sheet, 0, 1 + number, room, size), style)
    # A run of its own, with the same seed.
    place.run(*flags, content=place.photos[1:], style=place.styles[:1])
    single = load_image(place.out / "b_optimized_x.png")
    np.testing.assert_array_equal(cell(sheet, 2, 1, room, (32, 16)), single)
    assert not np.array_equal(cell(sheet, 2, 2, room, (32, 16)), single)


def test_cells_of_layers_are_the_single_pictures(place, capsys):
    # The order is that of the network.
    flags = ["--content-layers", "relu3_1", "relu1_1", "--style-layers", "relu2_1", "relu1_1"]
    flags += ["--size", "24x20"]
    photo, style, room = place.photos[:1], place.styles[:1], (24, 32)
    sheet = place.sheet("layers", *flags, "--json", content=photo, style=style)
    record = json.loads(capsys.readouterr().out)
    assert sheet.shape == (*sheet_size([4, 4], room), 3)
    np.testing.assert_array_equal(cell(sheet, 0, 0, room), load_image(photo[0]))
    # No photo is seen by relu2_1, and no style by relu3_1.
    assert [(cell(sheet, 0, i, room) == 255).all() for i in range(4)] == [0, 0, 1, 0]
    assert [(cell(sheet, 1, i, room) == 255).all() for i in range(4)] == [0, 0, 0, 1]
    place.run("--content-layers", "relu3_1", content=photo)
    single = load_image(place.out / "a_reconstructed_relu3_1.png")
    np.testing.assert_array_equal(cell(sheet, 0, 3, room), single)
    # Textures from the first layer down to each.
    place.run("--size", "24x20", "--style-layers", *LAYERS[:2], style=style)
    single = load_image(place.out / "x_texture.png")
    np.testing.assert_array_equal(cell(sheet, 1, 2, room, (24, 20)), single)
    assert record["ok"] and record["output"] == str(place.out / "sheet_layers.png")
    assert (record["content"], record["style"]) == (str(photo[0]), str(style[0]))
    assert [(part["content_layers"], part["style_layers"]) for part in record["cells"]] == [
        (["relu1_1"], []), (["relu3_1"], []), ([], ["relu1_1"]), ([], ["relu1_1", "relu2_1"]),
    ]  # fmt: skip
    assert all(part["losses"]["loss"] > 0 for part in record["cells"])


def test_deeper_layers_know_less_of_the_pixels(place):
    photo = load_image(place.photos[0]).astype(float)
    flags = ["--content-layers", "relu1_1", "relu4_1"]
    sheet = place.sheet("layers", *flags, content=place.photos[:1], steps=8)
    errors = [np.abs(cell(sheet, 0, i, (24, 32)) - photo).mean() for i in (1, 2)]
    assert errors[0] < 0.5 * errors[1]


def test_layers_are_all_four_unless_they_are_named():
    assert OptimizeConfig(style_path="x", sheet="layers").content_layers == LAYERS
    one = OptimizeConfig(style_path="x", sheet="layers", content_layers="relu4_1")
    assert one.content_layers == ("relu4_1",)


def test_sheets_are_not_replaced_without_overwrite(place, capsys):
    place.out.mkdir()
    (place.out / "sheet_grid.png").write_bytes(b"mine")
    assert place.run("--sheet", "grid", content=place.photos, style=place.styles) == 2
    assert "sheet_grid.png is there already. Use --overwrite" in capsys.readouterr().err
    assert (place.out / "sheet_grid.png").read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["missing", "broken", "truncated"])
def test_one_bad_picture_is_told_before_any_work(place, tmp_path, monkeypatch, capsys, kind):
    from adain.optimization.worker import Worker

    monkeypatch.setattr(Worker, "optimize", lambda *_, **__: pytest.fail("work was begun"))
    bad = tmp_path / "bad.png"
    if kind == "broken":
        bad.write_text("not a picture")
    if kind == "truncated":
        data = place.photos[0].read_bytes()
        bad.write_bytes(data[: len(data) // 2])
    assert place.run("--sheet", "grid", content=[*place.photos, bad], style=place.styles) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert line.startswith(f"error: {bad}")
    assert not place.out.exists()


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt()])
def test_a_cell_that_fails_leaves_no_file(place, monkeypatch, capsys, error):
    from adain.optimization.worker import Worker

    calls = []

    def fail(worker, content, style, **layers):
        calls.append(layers)
        if len(calls) == 2:
            raise error
        return content, {"loss": 1.0}

    monkeypatch.setattr(Worker, "optimize", fail)
    code = place.run("--sheet", "grid", "--json", content=place.photos, style=place.styles)
    assert len(calls) == 2 and not place.out.exists()
    told = capsys.readouterr()
    if isinstance(error, KeyboardInterrupt):
        assert code == 130
    else:
        assert code == 1
        assert told.err.startswith(f"error: {place.photos[0]} with {place.styles[1]}: not enough")
        assert not json.loads(told.out)["ok"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["grid"], "--sheet grid needs --content-path and --style-path."),
        (["layers", "--start", "content"], "--sheet layers starts from noise. Received: content"),
        (["layers", "--save-iter", 2], "--save-iter writes single pictures: not with --sheet."),
        (["rows"], "invalid choice: 'rows'"),
        (["layers", "--max-pixels", 10000], "--sheet layers: its 112 x 176 are more than 10000"),
        (["layers", "--out-path", "x.webp", "--content-size", 2500], "do not fit into WEBP"),
    ],
)
def test_wrong_flags_exit_with_2(place, capsys, flags, message):
    assert place.run("--sheet", *flags, content=place.photos) == 2
    assert message in capsys.readouterr().err
    assert not place.out.exists()
