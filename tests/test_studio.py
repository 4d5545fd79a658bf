"""`adain studio` behind its page: tabs and their files, hostile ones too, pixels, and the queue."""

from __future__ import annotations

import io
import json
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

pytest.importorskip("starlette")

from conftest import _picture
from PIL import Image
from starlette.testclient import TestClient

from adain import cli
from adain.imaging import io as imaging
from adain.options import UsageError
from adain.studio.command import listen
from adain.studio.config import StudioConfig
from adain.studio.queue import FULL, PREVIEW, THUMBNAIL, Cancelled, PaintQueue
from adain.studio.server import make_app
from adain.studio.static import make_static_app
from adain.studio.studio import Studio
from adain.studio.uploads import safe_name

ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def config(_tiny_preset, tmp_path_factory):
    styles = tmp_path_factory.mktemp("styles")
    for number in range(3):
        imaging.save_image(styles / f"{number:03}.png", _picture(40, 48, seed=20 + number))
    # MNN's pixels may change by a grey level with what it painted before.
    return StudioConfig(
        checkpoint=str(_tiny_preset), engine="onnxruntime", style_path=(str(styles),),
        preview_size=64, max_upload=1, max_pixels=10**6, sessions=3, quiet=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def client(config):
    with TestClient(make_app(Studio(config)), base_url=ADDRESS) as client:
        yield client


class Tab:
    """What the page of one tab asks for."""

    def __init__(self, client):
        self.client = client
        self.key = client.post("/api/sessions").json()["session"]

    def ask(self, method, path, **how):
        return self.client.request(method, f"/api/sessions/{self.key}{path}", **how)

    def send(self, data, name="photo.png", path="/photo", method="PUT"):
        return self.ask(method, path, content=data, params={"name": name})

    def style(self, data, name="style.png"):
        return self.send(data, name, "/styles", "POST").json()["key"]

    def preview(self, wish):
        return self.ask("POST", "/preview", content=json.dumps(wish))

    def paint(self, wish):
        """What the server tells at the end, and the file."""
        answer = self.ask("POST", "/results", content=json.dumps(wish))
        assert answer.status_code == 200, answer.text
        name = answer.json()["result"]
        events = self.ask("GET", f"/results/{name}/events").text
        end = json.loads(events.split("event: done\ndata: ")[1])
        return end, self.ask("GET", f"/results/{name}", params={"download": ""})


@pytest.fixture
def tab(client):
    return Tab(client)


def area(*styles, weights=None, alpha=1.0, mask=""):
    weights = [1.0] * len(styles) if weights is None else weights
    return {"styles": list(styles), "weights": weights, "alpha": alpha, "mask": mask}


def wish(*areas, palette=None, stroke=0, keep_colors=""):
    return {"areas": areas, "palette": palette, "stroke": stroke, "keep_colors": keep_colors}


def png(array) -> bytes:
    file = io.BytesIO()
    imaging.save_image(file, array, format="PNG")
    return file.getvalue()


def read(response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return imaging.load_image(response.content)


# === Pictures ===


def run_command(text, folder, config, *flags):
    """Run what the page shows, where its files are; the picture."""
    words = shlex.split(text)
    assert words[:2] == ["python", "stylize.py"]
    assert cli.main(["stylize", *words[2:], *flags, "--out-path", str(folder / "made") + "/",
                     "--engine", "onnxruntime", "--quiet", "--overwrite"]) == 0  # fmt: skip
    (path,) = (folder / "made").glob("[!.]*")
    return path


@pytest.mark.parametrize(
    "case",
    ["one", "mix", "area", "areas with mixes", "area alone", "two strengths", "luma", "coral"],
)
def test_the_command_line_makes_the_same(tab, config, picture, tmp_path, monkeypatch, case):
    photo, own = png(picture(150, 210)), png(picture(50, 60, seed=5))
    tab.send(photo, "my photo.png")
    mine = tab.style(own, "my style.png")
    mask = np.zeros((64, 90), "uint8")
    mask[:30, 20:] = 255
    sent = png(mask)
    inside = tab.send(sent, path="/masks", method="POST").json()["mask"]
    other = np.zeros((64, 90), "uint8")
    other[40:, :50] = 255
    second = tab.send(png(other), path="/masks", method="POST").json()["mask"]
    asked = {
        "one": wish(area("000", alpha=0.8), palette=0.3, stroke=64),
        "mix": wish(area("000", "001", mine, weights=[0.5, 0.2, 0.3])),
        "area": wish(area("000"), area(mine, mask=inside)),
        "areas with mixes": wish(
            area("000", "001", weights=[3, 1]), area(mine, mask=inside), area("002", mask=second)
        ),
        "area alone": wish(area(), area("001", mask=inside)),
        "two strengths": wish(area("000", alpha=0.5), area("000", alpha=1.2, mask=inside)),
        "luma": wish(area(mine), keep_colors="luma"),
        "coral": wish(area(mine), keep_colors="coral"),
    }[case]
    # The files of the tab, as someone would have them.
    monkeypatch.chdir(tmp_path)
    Path("my photo.png").write_bytes(photo)
    Path("my style.png").write_bytes(own)
    for number, one in enumerate(asked["areas"][1:], 1):
        Path(f"mask-{number}.png").write_bytes(tab.ask("GET", f"/masks/{one['mask']}").content)
    command = tab.ask("POST", "/command", content=json.dumps(asked)).json()["command"]
    if "mask-rest.png" in command:
        masks = [imaging.load_image(path)[..., 0] for path in sorted(tmp_path.glob("mask-*.png"))]
        imaging.save_image("mask-rest.png", 255 - np.maximum.reduce(masks))
    end, result = tab.paint(asked)
    made = run_command(command, tmp_path, config)
    assert end["name"] == made.name
    assert end["size"] == [210, 150]
    assert made.name in unquote(result.headers["content-disposition"])
    np.testing.assert_array_equal(read(result), imaging.load_image(made))
    assert imaging.read_history(result.content) == imaging.read_history(made)
    if case not in ("one", "areas with mixes", "coral"):
        return
    # The preview is the picture of its size, but for JPEG.
    small = run_command(command, tmp_path, config, "--content-size", "64")
    file = io.BytesIO()
    imaging.save_image(file, imaging.load_image(small), format="JPEG", quality=92)
    expected = imaging.load_image(file.getvalue())
    assert expected.shape == (64, 90, 3)
    np.testing.assert_array_equal(read(tab.preview(asked)), expected)


def test_files_keep_what_they_hold(tab, picture):
    """Depth, transparency, profile and EXIF, as the command line does."""
    deep = picture(50, 70).astype("uint16") * 257
    tab.send(png(np.dstack([deep, np.full((50, 70), 30000, "uint16")])), "deep.png")
    end, result = tab.paint(wish(area("000")))
    colors, meta = imaging.read_image(result.content, keep_depth=True)
    assert (colors.dtype, meta.alpha.dtype) == (np.uint16, np.uint16)
    assert (meta.alpha == 30000).all()
    answer = tab.preview(wish(area("000")))
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).mode == "RGBA"


def test_thumbnails(client):
    names = [style["name"] for style in client.get("/api/about").json()["styles"]]
    assert names == ["000", "001", "002"]
    pictures = [read(client.get(f"/api/styles/{name}")) for name in names]
    assert min(pictures[0].shape[:2]) == 192
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 1
    assert client.get("/api/styles/none").status_code == 404


# === What is not understood ===


def test_messages(tab, picture):
    answer = tab.preview(wish(area("000")))
    assert (answer.status_code, answer.json()["error"][:24]) == (422, "There is no photo yet. D")
    tab.send(png(picture(40, 50)))
    for asked, text in (
        (wish(area()), "There is no style yet"),
        (wish(area("none")), "A style is gone"),
        (wish(area("own:style-9")), "A style is gone"),
        (wish(area("000"), area("001", mask="no")), "There is no such mask"),
        (wish(area("000"), area("001", mask="../../etc")), "There is no such mask"),
        (wish(area("000"), area("001")), "Each area but the first needs a mask"),
        (wish(area("000", alpha=-1)), "`alpha` must be 0 or more"),
        (wish(area("000", alpha="1")), "`alpha` must be a number"),
        (wish(area("000"), palette=2), "`palette` must be in"),
        (wish(area("000"), stroke=3), "`stroke` must be 0, or"),
        (wish(area("000"), keep_colors="x"), "`keep_colors` must be one of"),
        (wish(area("000", "001", weights=[0, 0])), "must not be all 0"),
        (wish(area("000", "001", weights=["1", 0])), "weights must be numbers"),
        (wish(area("000", weights=[1, 2])), "The page must send settings"),
        (wish(area(*["000"] * 5)), "The page must send settings"),
        (wish(), "The page must send settings"),
        ([], "The page must send settings"),
        ("x", "The page must send settings"),
    ):
        for path in ("/preview", "/command", "/results"):
            answer = tab.ask("POST", path, content=json.dumps(asked))
            if path == "/results" and answer.status_code == 200:
                name = answer.json()["result"]
                said = tab.ask("GET", f"/results/{name}/events").text
            else:
                assert answer.status_code == 422 or path == "/command", (asked, answer.text)
                said = answer.text
            assert text.replace('"', "'") in said or path == "/command", (path, said)
            assert "adain-studio" not in said
    for body in (b"", b"{", b"\xff", b"[" * 100000):
        assert tab.ask("POST", "/preview", content=body).status_code == 413
    assert read(tab.preview(wish(area("000")))).shape == (40, 50, 3)


def bomb() -> bytes:
    """A PNG of a few kilobytes that claims 30,000 x 30,000 pixels."""
    import struct
    import zlib

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(100000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("path", ["/photo", "/styles"])
def test_hostile_files(tab, config, picture, path):
    good = png(picture(40, 50))
    method = "PUT" if path == "/photo" else "POST"
    assert tab.send(good, "good.png", path, method).status_code == 200
    for data, name, text in (
        (bomb(), "bomb.png", "bomb.png: 900000000 pixels|bomb.png: .*--max-pixels"),
        (good[: len(good) // 2], "half.png", "half.png: "),
        (b"<svg onload=alert(1)>", "a.svg", "is SVG"),
        (b"<!doctype html><script>", "page.html", "is a web page"),
        (b"PK\x03\x04" + bytes(100), "x.png", "is a ZIP archive"),
        (b"%PDF-1.4", "x.jpg", "is PDF"),
        (b"MZ" + bytes(5000), "virus.exe", "is not a picture"),
        (b"", "empty.png", "is empty"),
        (bytes(2**20 + 1), "long.png", "more than 1 MB. Raise the limit with --max-upload"),
    ):  # fmt: skip
        answer = tab.send(data, name, path, method)
        said = answer.json()["error"]
        assert answer.status_code in (413, 422)
        assert re.search(text, said), said
        assert "\n" not in said and "adain-studio" not in said
    # The page lives on, with what it had, and nothing else is left.
    about = tab.ask("GET", "/photo")
    assert about.status_code == (200 if path == "/photo" else 422)
    folder = tab.client.app.state.studio.sessions.get(tab.key).folder
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "passwd.png"),
        ("..\\..\\windows\\a.PNG", "a.PNG"),
        ("/etc/shadow.jpg", "shadow.jpg"),
        ("..", "picture.png"),
        (".hidden.png", "hidden.png"),
        ("", "picture.png"),
        ("-rf.png", "rf.png"),
        ("<img src=x onerror=alert(1)>.png", "_img src=x onerror=alert(1)_.png"),
        ("a\x00b\nc\x1b[31m.png", "a_b_c_[31m.png"),
        ("photo.jpg\u202egnp.png", "photo.jpg_gnp.png"),
        ("CON.png", "_CON.png"),
        ("archive.tar.gz", "archive.tar.gz.png"),
        ("x" * 300 + ".png", "x" * 80 + ".png"),
        ("Bild Ä é.jpeg", "Bild Ä é.jpeg"),
        ("写真.webp", "写真.webp"),
    ],
)
def test_names(tab, picture, name, expected):
    answer = tab.send(png(picture(20, 30)), name)
    assert answer.json()["name"] == expected
    end, result = tab.paint(wish(area("000")))
    assert end["name"].endswith(f"_stylized_000{Path(expected).suffix.lower()}"), end
    assert result.headers["x-content-type-options"] == "nosniff"


def test_names_differ():
    assert safe_name("a.png", taken=["A.PNG"]) == "a-2.png"
    assert safe_name("a.png", taken=["a.png", "a-2.png"]) == "a-3.png"


# === Other sites ===


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8765"}, 200),
        ({"host": "LOCALHOST"}, 200),
        ({"host": "[::1]:8765"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:8765"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "127.0.0.1:8765@evil.example"}, 403),
        ({"host": "127.0.0.2"}, 403),
        ({"host": "0.0.0.0:8765"}, 403),
        ({"host": ""}, 403),
        ({"origin": ADDRESS}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://127.0.0.1:8765"}, 403),
        ({"origin": "http://127.0.0.1:3000"}, 403),
        ({"origin": "http://localhost:8765"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_who_is_served(client, headers, status):
    sessions = client.app.state.studio.sessions
    for key in list(sessions._sessions):
        sessions.close(key)
    for method, path in (("POST", "/api/sessions"), ("GET", "/api/about"), ("GET", "/")):
        answer = client.request(method, path, headers=headers)
        assert answer.status_code == status, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
    assert sessions.count == (status == 200)


def test_the_page_names_no_other_host(client, root):
    for path in (root / "adain" / "studio" / "page").iterdir():
        answer = client.get(f"/{path.name}")
        assert answer.content == path.read_bytes()
        if path.suffix != ".jpg":
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "//" not in re.sub(r"(?m)(^|\s)// .*$", "", text), path.name
            assert "innerHTML" not in text and "style=" not in text and "onclick" not in text
    for path in ("/../config.py", "/..%2fconfig.py", "/%2e%2e/config.py", "/config.py"):
        assert client.get(path).status_code == 404


# === Tabs ===


def test_tabs_do_not_share(client, picture):
    first, second = Tab(client), Tab(client)
    first.send(png(picture(40, 50)))
    assert second.ask("GET", "/photo").status_code == 422
    key = first.style(png(picture(20, 20)))
    second.send(png(picture(30, 30)))
    assert second.preview(wish(area(key))).status_code == 422
    folder = client.app.state.studio.sessions.get(first.key).folder
    assert list(folder.iterdir())
    assert first.ask("DELETE", "").status_code == 204
    assert not folder.exists()
    answer = first.preview(wish(area("000")))
    assert (answer.status_code, answer.json()["error"]) == (
        410,
        "This tab was forgotten. Reload the page.",
    )
    # Of too many the one that is idle longest goes.
    more = [Tab(client) for _ in range(3)]
    assert second.ask("GET", "/photo").status_code == 410
    assert more[0].ask("GET", "/photo").status_code == 422


def test_temporary_files_go(config, picture):
    studio = Studio(config)
    with TestClient(make_app(studio), base_url=ADDRESS) as client:
        tab = Tab(client)
        for seed in range(3):
            tab.send(png(picture(40, 50, seed=seed)), f"{seed}.png")
        key = tab.style(png(picture(20, 20)))
        tab.ask("DELETE", f"/styles/{key}")
        tab.paint(wish(area("000")))
        folder = studio.sessions.folder
        (place,) = (path for path in folder.iterdir() if path.is_dir())
        names = sorted(re.sub(r"\d", "", path.name) for path in place.iterdir())
        assert names == ["photo-", "result-"]
    assert not folder.exists()


def test_results_of_a_changed_photo(tab, picture):
    """A picture is painted of the photo that was there when it was asked for."""
    tab.send(png(picture(60, 80)), "first.png")
    answer = tab.ask("POST", "/results", content=json.dumps(wish(area("000")))).json()
    tab.send(png(picture(30, 40)), "second.png")
    events = tab.ask("GET", f"/results/{answer['result']}/events").text
    assert json.loads(events.split("data: ")[-1])["name"] == "first_stylized_000.png"
    assert read(tab.ask("GET", f"/results/{answer['result']}")).shape == (60, 80, 3)


# === Queue ===


@pytest.fixture
def queue():
    queue = PaintQueue()
    yield queue
    queue.close()


@pytest.fixture
def gate(queue):
    """Holds the queue's thread until it is set."""
    gate = threading.Event()
    queue.submit("gate", FULL, lambda job: gate.wait(10))
    while not queue._running:
        time.sleep(0.001)
    yield gate
    gate.set()


def test_the_newest_preview_counts(queue, gate):
    """A thousand clicks do not become a thousand paintings."""
    done = []
    jobs = [queue.submit("tab", PREVIEW, lambda job, n=n: done.append(n)) for n in range(1000)]
    gate.set()
    jobs[-1].future.result(10)
    assert done == [999]
    assert all(isinstance(job.future.exception(10), Cancelled) for job in jobs[:-1])


def test_a_running_preview_gives_way(queue):
    started = threading.Event()

    def endless(job):
        started.set()
        while True:
            job.report(0.5)
            time.sleep(0.001)

    first = queue.submit("tab", PREVIEW, endless)
    started.wait(10)
    second = queue.submit("tab", PREVIEW, lambda job: "done")
    assert second.future.result(10) == "done"
    assert isinstance(first.future.exception(10), Cancelled)


def test_tabs_take_turns(queue, gate):
    done = []

    def add(owner, kind, number):
        return queue.submit(owner, kind, lambda job: done.append((owner, number)))

    jobs = [add("greedy", FULL, n) for n in range(5)]
    jobs += [add("modest", FULL, 0), add("quick", PREVIEW, 0), add("quick", THUMBNAIL, 1)]
    jobs += [add("quick", FULL, 2), add("greedy", PREVIEW, 9)]
    assert queue.place(jobs[0]) == 1 + 1 + 2 + 1
    gate.set()
    for job in jobs:
        job.future.result(10)
    assert done == [
        ("greedy", 9), ("modest", 0), ("quick", 0), ("greedy", 0), ("quick", 1), ("greedy", 1),
        ("quick", 2), ("greedy", 2), ("greedy", 3), ("greedy", 4),
    ]  # fmt: skip


def test_previews_are_painted_in_between(queue):
    """They do not wait for a long painting; and it goes on, however many there are."""
    done, steps = [], []

    def long(job):
        for step in range(3):
            steps.append(step)
            for owner in ("a", "b"):
                queue.submit(owner, PREVIEW, lambda job, step=step, o=owner: done.append((o, step)))
            queue.submit("c", FULL, lambda job: done.append("full"))
            job.report(step / 3)
        return "done"

    assert queue.submit("tab", FULL, long).future.result(10) == "done"
    assert steps == [0, 1, 2]
    assert [owner for owner, _ in done[:3]] == ["a", "b", "a"]
    queue.submit("last", FULL, lambda job: None).future.result(10)
    assert done.count("full") == 3


def test_cancelling(queue, gate):
    waiting = queue.submit("tab", FULL, lambda job: "done")
    other = queue.submit("tab", FULL, lambda job: "done")
    queue.cancel(waiting)
    gate.set()
    assert other.future.result(10) == "done"
    assert isinstance(waiting.future.exception(10), Cancelled)


def test_a_failure_leaves_the_others(queue, caplog):
    def fail(job):
        raise ZeroDivisionError

    assert isinstance(queue.submit("tab", FULL, fail).future.exception(10), ZeroDivisionError)
    assert queue.submit("tab", FULL, lambda job: "done").future.result(10) == "done"
    assert "a painting failed" in caplog.text


def test_not_too_many(queue, gate):
    for _ in range(8):
        queue.submit("tab", FULL, lambda job: None)
    with pytest.raises(UsageError, match="8 pictures are waiting"):
        queue.submit("tab", FULL, lambda job: None)
    queue.submit("other", FULL, lambda job: None)


def test_cancel_a_picture(tab, picture, monkeypatch):
    """In mid-work; nothing of it is left."""
    tab.send(png(picture(60, 80)))
    studio = tab.client.app.state.studio
    begun, full = threading.Event(), studio.painter.full

    def slow(config, folder, job):
        begun.set()
        while not job.cancelled:
            time.sleep(0.001)
        return full(config, folder, job)

    monkeypatch.setattr(studio.painter, "full", slow)
    name = tab.ask("POST", "/results", content=json.dumps(wish(area("000")))).json()["result"]
    assert begun.wait(10)
    assert tab.ask("DELETE", f"/results/{name}").status_code == 204
    assert '"cancelled": true' in tab.ask("GET", f"/results/{name}/events").text
    assert tab.ask("GET", f"/results/{name}").status_code == 404
    assert not list(studio.sessions.get(tab.key).folder.glob("result-*"))
    assert read(tab.preview(wish(area("000")))).shape[2] == 3


# === The command ===


def test_a_port_in_use(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert cli.main(["studio", "--port", str(port), "--no-open"]) == 2
    said = capsys.readouterr().err
    assert said == (
        f"error: port {port} is in use. Use another one, or --port 0 for any that is free.\n"
    )
    with listen(0) as free:
        assert free.getsockname()[0] == "127.0.0.1" and free.getsockname()[1] > 0


def test_no_place_for_files(monkeypatch, tmp_path, capsys, tiny_preset):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    words = ["studio", "--port", "0", "--no-open", "--checkpoint", str(tiny_preset)]
    assert cli.main(words) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be written" in said and "Set TMPDIR" in said


def test_the_command(tiny_preset, write_pictures, tmp_path):
    """It prints its address, serves, and ends by Ctrl+C without a trace."""
    import signal
    import urllib.request

    styles = write_pictures(tmp_path / "styles", 1)
    words = ["--port", "0", "--checkpoint", tiny_preset, "--style", styles]
    process = subprocess.Popen(
        [sys.executable, "-m", "adain", "studio", *map(str, words)],
        stderr=subprocess.PIPE, text=True, env=_without_display(tmp_path),
    )  # fmt: skip
    try:
        line = process.stderr.readline()
        address = re.fullmatch(r"adain studio: (http://127\.0\.0\.1:\d+/) .*\n", line)[1]
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert b"<title>adain studio</title>" in answer.read()
        # What a killed one has left behind is gone.
        assert not (tmp_path / "tmp" / "adain-studio-dead").exists()
        (folder,) = (tmp_path / "tmp").iterdir()
        _leave_in_mid_upload(address, folder)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
        assert not list((tmp_path / "tmp").iterdir())
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def _leave_in_mid_upload(address, folder):
    """A browser that is closed while it sends: nothing of the file is kept."""
    import urllib.request

    begin = urllib.request.Request(f"{address}api/sessions", method="POST")
    with urllib.request.urlopen(begin, timeout=20) as answer:
        key = json.load(answer)["session"]
    host = address.split("/")[2]
    with socket.create_connection(host.split(":"), timeout=20) as browser:
        browser.sendall(
            f"PUT /api/sessions/{key}/photo?name=a.png HTTP/1.1\r\nHost: {host}\r\n"
            "Content-Length: 100000\r\n\r\n".encode()
            + bytes(50000)
        )
        wait_until(lambda: list(folder.glob("*/photo-1/received")))
    wait_until(lambda: not list(folder.glob("*/photo-1")))


def wait_until(holds, seconds=10):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def _without_display(tmp_path):
    import os

    dead = tmp_path / "tmp" / "adain-studio-dead"
    dead.mkdir(parents=True)
    (dead / "lock").touch()
    gone = ("DISPLAY", "WAYLAND_DISPLAY")
    kept = {name: value for name, value in os.environ.items() if name not in gone}
    return kept | {"TMPDIR": str(tmp_path / "tmp")}


# === Clips ===


@pytest.fixture
def clip(make_clip, tmp_path):
    """The bytes of a clip of 8 frames with sound."""
    path = make_clip(tmp_path / "holiday.mp4", frames=8, size=(48, 64), sound=["stereo"])
    return path.read_bytes()


def test_a_clip(tab, clip, tmp_path, monkeypatch, config):
    from adain.video.codecs import CODECS

    # Of libx264 other bits of the same frames have been seen on a busy machine.
    monkeypatch.setitem(CODECS, "h264", CODECS["mpeg4"])
    answer = tab.send(clip, "holiday.mp4").json()
    assert (answer["size"], answer["frames"]) == ([64, 48], 8)
    asked = wish(area("000", alpha=0.8))
    assert read(tab.preview(asked)).shape == (48, 64, 3)
    end, result = tab.paint(asked)
    assert (end["name"], end["size"]) == ("holiday_stylized_000.mp4", [64, 48])
    monkeypatch.chdir(tmp_path)
    command = tab.ask("POST", "/command", content=json.dumps(asked)).json()["command"]
    Path("holiday.mp4").write_bytes(clip)
    made = run_command(command, tmp_path, config)
    assert made.name == end["name"]
    assert result.content == made.read_bytes()


def test_a_broken_clip(tab, clip):
    for data, name in ((clip[: len(clip) // 2], "half.mp4"), (b"#EXTM3U\nhttp://a/", "list.mp4"),
                       (b"no", "../no.mkv")):  # fmt: skip
        answer = tab.send(data, name)
        assert answer.status_code == 422, answer.text
        said = answer.json()["error"]
        assert said.startswith(f"{name.rpartition('/')[2]}: ") and "adain-studio" not in said
    # By another name it is no picture either.
    assert "is a video" in tab.send(clip, "photo.jpg").json()["error"]


def test_a_clip_without_the_extra(tab, clip, monkeypatch):
    from adain import extras

    installed = extras.is_installed
    monkeypatch.setattr(extras, "is_installed", lambda name: name != "av" and installed(name))
    answer = tab.send(clip, "holiday.mp4")
    assert answer.json()["error"] == f"a clip needs av: {extras.install_command('video')}"
    assert not tab.client.get("/api/about").json()["clips"]


def test_cancel_a_clip(tab, clip, monkeypatch):
    from adain.studio import queue

    tab.send(clip, "holiday.mp4")
    begun, go = threading.Event(), threading.Event()
    report = queue.Job.report

    def slow(job, progress):
        begun.set()
        go.wait(10)
        report(job, progress)

    monkeypatch.setattr(queue.Job, "report", slow)
    name = tab.ask("POST", "/results", content=json.dumps(wish(area("000")))).json()["result"]
    assert begun.wait(20)
    tab.ask("DELETE", f"/results/{name}")
    go.set()
    assert '"cancelled": true' in tab.ask("GET", f"/results/{name}/events").text
    assert not list(tab.client.app.state.studio.sessions.get(tab.key).folder.glob("result-*"))


def test_static_pages(tmp_path, monkeypatch, capsys):
    """A folder is served to this machine alone, isolated for threads, and nothing beside it."""
    monkeypatch.chdir(tmp_path)
    words = ["studio", "--port", "0", "--no-open", "--static"]
    for more, folder in (([], "web/dist"), (["none"], "none")):
        assert cli.main([*words, *more]) == 2
        said = capsys.readouterr().err
        assert "build the page with `make web`" in said and said.endswith(f"static='{folder}'\n")
    (tmp_path / "secret.txt").write_text("secret")
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<!doctype html><title>page</title>")
    (page / "glue.mjs").write_text("export default 1;")
    (page / "link.txt").symlink_to(tmp_path / "secret.txt")
    with TestClient(make_static_app(page), base_url=ADDRESS) as client:
        answer = client.get("/")
        assert answer.text == "<!doctype html><title>page</title>"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
        assert "camera=(self)" in answer.headers["permissions-policy"]
        # Browsers run modules of no other type.
        assert client.get("/glue.mjs").headers["content-type"].startswith("text/javascript")
        for path in ("/%2e%2e/secret.txt", "/link.txt", "/api/about"):
            assert client.get(path).status_code == 404
        for name, value in (("host", "evil.example"), ("origin", "http://evil.example")):
            assert client.get("/", headers={name: value}).status_code == 403
        assert client.post("/").status_code == 405
