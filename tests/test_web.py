"""The page that stylises in the browser alone, as `make web` builds it and a browser runs it."""

from __future__ import annotations

import base64
import functools
import http.server
import os
import threading
from contextlib import contextmanager

import numpy as np
import pytest

pytestmark = pytest.mark.slow
pytest.importorskip("starlette")
pytest.importorskip("playwright")

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from pages import PAINTED, check_for_everyone, chromium, serving  # noqa: E402
from playwright.sync_api import expect  # noqa: E402

import adain  # noqa: E402
from adain import cli  # noqa: E402
from adain.imaging import io as imaging  # noqa: E402
from adain.studio.static import BUILT, make_static_app  # noqa: E402

MOST_BYTES = 8_000_000
"""All that a visitor loads, as it goes over the wire."""
CODE = ("mean", "std", "paletteMean", "paletteCovariance")


@pytest.fixture(scope="module")
def built(root):
    folder = root / BUILT
    # In CI that would be a failure: .ci/run builds it.
    if not (folder / "index.html").exists() and not os.environ.get("CI"):
        pytest.skip("the page is not built: make web")
    return folder


class _Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map,
                      ".js": "text/javascript", ".mjs": "text/javascript"}  # fmt: skip

    def log_message(self, *words):
        pass


@contextmanager
def plain_host(folder):
    """A host that serves files, and knows nothing of the page."""
    handler = functools.partial(_Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join(30)


@pytest.fixture(scope="module")
def address(built):
    with serving(make_static_app(built)) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium("--use-fake-device-for-media-stream") as browser:
        yield browser


def open_page(browser, at, **options):
    """A new tab with the networks loaded, and what it says, asks for and receives."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(30_000)
    page.complaints, page.asked = [], {}
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda line: page.complaints.append(line.text)
            if line.type == "error" else None)  # fmt: skip
    page.context.on("request", lambda request: page.asked.setdefault(request.url, request))
    page.goto(at)
    page.wait_for_selector("html[data-ready]", state="attached")
    return page


@pytest.fixture(scope="module")
def page(browser, address):
    """One tab for tests that leave it with a photo."""
    page = open_page(browser, f"{address}?threads=2", permissions=["camera"])
    expect(page.locator("#engine")).to_contain_text("WebAssembly, 2 threads")
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def photo(root, tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "temple.png"
    image = imaging.load_image(root / "images" / "inputs" / "temple.jpg")
    imaging.save_image(path, imaging.resize_image(image, (213, 321)))
    return path


def after(page, action):
    """Do something, and wait for what is painted then."""
    before = page.evaluate("() => document.getElementById('frame').dataset.painted")
    action()
    page.wait_for_function(
        "n => !['', n].includes(document.getElementById('frame').dataset.painted)", arg=before
    )
    page.wait_for_selector(PAINTED)


def take(page, photo):
    page.set_input_files("#photo-file", photo)
    expect(page.locator("#photo-name")).to_have_text(photo.name)
    page.wait_for_selector(PAINTED)


def style(page, name):
    return page.locator(f".tile[data-key='{name}'] > button").first


def shown(page) -> np.ndarray:
    url = page.evaluate("() => document.getElementById('after').toDataURL('image/png')")
    return imaging.load_image(base64.b64decode(url.partition(",")[2]))


def download(page, folder):
    page.click("#paint")
    with page.expect_download() as found:
        page.click("#download")
    path = folder / found.value.suggested_filename
    found.value.save_as(path)
    return path


def stylize(photo, made, *words):
    done = cli.main(
        ["stylize", "--content-path", str(photo), "--checkpoint", "adain_fast", "--quiet",
         "--supersample", "0", "--out-path", str(made), *map(str, words)]
    )  # fmt: skip
    assert done == 0
    return imaging.load_image(made).astype(int)


def slide(page, name, value):
    after(page, lambda: page.locator(f"#{name}").fill(str(value)))


def test_pictures_are_those_of_the_command_line(page, photo, root, tmp_path):
    """Cards, mixes, strength and palette: the downloaded file, and what is shown, by pixels."""
    take(page, photo)
    after(page, lambda: style(page, "mosaic").click())
    expected = stylize(photo, tmp_path / "a.png", "--style-path", "mosaic")
    path = download(page, tmp_path)
    assert path.name == "temple-mosaic.png"
    for found in (imaging.load_image(path), shown(page)):
        assert np.abs(found - expected).max() <= 2
    slide(page, "alpha", 0.6)
    slide(page, "palette", 0.3)
    page.click("label.switch")
    after(page, lambda: style(page, "blue-river").click())
    pad = page.locator("#pad")
    pad.focus()
    after(page, lambda: page.keyboard.press("ArrowRight"))
    assert pad.get_attribute("aria-valuetext") == "45 % Mosaic, 55 % Blue river"
    words = ("--style-path", "mosaic", "blue-river", "--style-interp-weights", 0.45, 0.55)
    expected = stylize(photo, tmp_path / "b.png", *words, "--alpha", 0.6, "--palette", 0.3)
    assert np.abs(shown(page) - expected).max() <= 2
    page.click("label.switch")
    page.click("#reset")
    # A picture as the style: browsers resize it by another filter than the command line does.
    own = tmp_path / "grid.png"
    image = imaging.load_image(root / "images" / "styles" / "grid.jpg")
    imaging.save_image(own, imaging.resize_image(image, (512, 512)))
    after(page, lambda: page.set_input_files("#style-file", own))
    expect(page.locator(".tile.chosen .name")).to_have_text("Grid")
    expected = stylize(photo, tmp_path / "c.png", "--style-path", own)
    assert np.abs(shown(page) - expected).max() <= 2
    after(
        page,
        lambda: page.click("button[aria-label='Remove Grid']") or style(page, "embers").click(),
    )
    assert page.complaints == []


def test_what_is_loaded(browser, built, photo):
    """From any static host and folder, without isolation: below 8 MB, and from nowhere else."""
    with plain_host(built.parent) as host:
        at = f"{host}{built.name}/"
        page = open_page(browser, at)
        expect(page.locator("#engine")).to_contain_text("WebAssembly, 1 thread")
        after(page, lambda: page.click("#use-sample"))
        after(page, lambda: page.set_input_files("#style-file", photo))
        # Tiles load their thumbnails when they are seen.
        page.evaluate("() => { for (const one of document.images) one.loading = 'eager'; }")
        page.wait_for_load_state("networkidle")
        sizes = {}
        for url, request in page.asked.items():
            if not url.startswith(("blob:", "data:")):
                assert url.startswith(at)
                found = request.sizes()
                sizes[url] = found["responseBodySize"] + found["responseHeadersSize"]
        page.context.close()
    assert 7_000_000 < sum(sizes.values()) < MOST_BYTES
    # With WebGPU a visitor gets another build of the runtime, and all else.
    of_wasm = sum(size for url, size in sizes.items() if "/ort" in url)
    of_webgpu = sum(path.stat().st_size + 500 for path in built.rglob("ort*jspi*"))
    assert 3_000_000 < of_webgpu < MOST_BYTES - (sum(sizes.values()) - of_wasm)
    print("MB:", sum(sizes.values()) / 1e6, (sum(sizes.values()) - of_wasm + of_webgpu) / 1e6)


def test_hostile_files(page, photo):
    take(page, photo)
    good = photo.read_bytes()
    from test_studio import bomb

    evil = "<img src=x onerror=alert(1)>"
    for name, data, text in (
        ("bomb.png", bomb(), "bomb.png: "),
        ("half.png", good[: len(good) // 2], "half.png: not a picture"),
        ("page.html.jpg", b"<!doctype html><script>alert(1)</script>", "not a picture"),
        ("empty.jpg", b"", "empty.jpg: not a picture"),
        (f"{evil}.png", b"GIF89a", "not a picture"),
    ):
        for field in ("#photo-file", "#style-file"):
            page.set_input_files(field, {"name": name, "mimeType": "image/png", "buffer": data})
            expect(page.locator(".toast.wrong")).to_contain_text(text)
            page.locator(".toast.wrong").last.locator("button").click()
    assert page.locator("img[src='x']").count() == 0
    expect(page.locator("#photo-name")).to_have_text(photo.name)
    after(page, lambda: style(page, "comic").click())
    assert page.complaints == []


def test_networks_that_do_not_arrive(browser, address, photo):
    """A message; what is asked for next tries again."""
    context = browser.new_context()
    context.route("**/stylize.onnx*", lambda route: route.abort())
    page = context.new_page()
    page.goto(address)
    expect(page.locator(".toast.wrong")).to_contain_text("A part of the page did not arrive.")
    context.unroute("**/stylize.onnx*")
    take(page, photo)
    expect(page.locator("#engine")).to_contain_text("WebAssembly")
    context.close()


def test_rotation_transparency_and_sizes(page, root, tmp_path):
    """A photo that EXIF turns, one with holes, and one that is larger than its download."""
    from PIL import Image

    image = imaging.load_image(root / "images" / "inputs" / "cat.jpg")
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(image).resize((300, 200)).save(turned, exif=exif)
    take(page, turned)
    expect(page.locator("#caption")).to_have_text("200 × 300")
    made = imaging.load_image(download(page, tmp_path))
    assert made.shape == (300, 200, 3)
    holes = np.dstack([image[:120, :160], np.full((120, 160), 255, "uint8")])
    holes[:60, :, 3] = 0
    clear = tmp_path / "holes.png"
    Image.fromarray(holes).save(clear)
    take(page, clear)
    made = np.asarray(Image.open(download(page, tmp_path)))
    assert made.shape == (120, 160, 4) and (made[..., 3] == holes[..., 3]).all()
    large = tmp_path / "large.jpg"
    Image.fromarray(image).resize((1500, 1000)).save(large)
    take(page, large)
    page.select_option("#size", "866 577")
    assert imaging.read_size(download(page, tmp_path)) == (577, 866)
    page.select_option("#size", "1500 1000")
    page.click("#paint")
    page.click("#cancel")
    expect(page.locator(".toast").last).to_contain_text("Cancelled")
    after(page, lambda: style(page, "grid").click())


def test_webcam(page, photo):
    take(page, photo)
    page.click("#webcam")
    page.wait_for_selector("#frame.live:not([data-painted=''])")
    first = shown(page)
    assert first.shape == (256, 341, 3)
    # The camera of tests has a clock.
    page.wait_for_function("() => Number(document.getElementById('frame').dataset.painted) > 6")
    assert np.abs(shown(page).astype(int) - first).max() > 0
    page.click("#take")
    expect(page.locator("#photo-name")).to_have_text("webcam.png")
    expect(page.locator("#webcam")).to_have_text("Use the webcam")
    page.wait_for_selector(PAINTED)
    assert page.complaints == []


def test_statistics(browser, root):
    """Mixtures of codes, of four styles and of palettes of any rank, as Python computes them."""
    from adain.imaging.palette import Palette

    random = np.random.default_rng(5)
    codes = []
    for number in range(4):
        pixels = random.uniform(0, 1, (20, 20, 3)) @ np.diag([1, number > 0, number > 1])
        codes.append(
            adain.StyleCode(
                [random.normal(size=8)], [random.uniform(0, 2, 8)], palette=Palette.of(pixels)
            )
        )
    weights = [0.1, 0.2, 0.3, 0.4]
    given = [
        [code.means[0], code.stds[0], code.palette.mean, code.palette.covariance.ravel()]
        for code in codes
    ]
    with plain_host(root / "web" / "src") as host:
        page = browser.new_page()
        page.goto(f"{host}statistics.js")
        found = page.evaluate(
            """async ([codes, weights, names]) => {
          const { mix } = await import("/statistics.js");
          const read = (code) => Object.fromEntries(names.map((name, i) => [name, code[i]]));
          const mixed = mix(codes.map(read), weights);
          return names.map((name) => [...mixed[name]]);
        }""",
            [[[part.tolist() for part in code] for code in given], weights, CODE],
        )
        page.close()
    mixed = adain.mix(codes, weights)
    expected = [mixed.means[0], mixed.stds[0], mixed.palette.mean, mixed.palette.covariance.ravel()]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_for_everyone(browser, address, photo):
    """No serious finding of axe-core, in any state; everything fits on a phone; by keyboard."""
    page = open_page(browser, address)
    axe = Axe()

    def check(state):
        for scheme, width, height in (("light", 1280, 800), ("dark", 390, 780)):
            # Colours are looked at where they end, not on the way from the other scheme.
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": height})
            check_for_everyone(page, axe, f"{state}, {scheme}", width)

    check("welcome")
    take(page, photo)
    page.focus("#mixing")
    page.keyboard.press("Space")
    style(page, "mosaic").focus()
    after(page, lambda: page.keyboard.press("Enter"))
    expect(style(page, "mosaic")).to_be_focused()
    page.focus("#split")
    page.keyboard.press("End")
    assert page.get_attribute("#split", "aria-valuetext") == "100 % photo"
    page.set_input_files("#photo-file", {"name": "a.png", "mimeType": "", "buffer": b"no"})
    expect(page.locator(".toast")).to_be_visible()
    page.focus("#paint")
    page.keyboard.press("Enter")
    expect(page.locator("#download")).to_be_visible()
    check("mix, message and download")
    page.context.close()
