"""Files that appear whole or not at all, what killed runs leave, and walking through folders."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adain import files, folders
from adain.presets import npz

WRITER = """
import sys, time
from adain import files, folders
with files.replacing(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def write_slowly():
    """`write_slowly(path)`: another process that has written half a file and waits."""
    started = []

    def start(path: Path) -> subprocess.Popen:
        command = [sys.executable, "-c", WRITER, str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "writing\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def hidden(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".")]


def test_a_file_is_replaced_when_it_is_complete(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with files.replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
        # What another program must not take for a picture.
        assert len(hidden(tmp_path)) == 1
    assert path.read_bytes() == b"new" and hidden(tmp_path) == []


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def call(*args, name=name, real=real):
            calls.append(name)
            return real(*args)

        monkeypatch.setattr(os, name, call)
    npz.write_atomically(tmp_path / "a", lambda file: file.write(b"x"))
    # The last one is the folder's.
    assert calls == ["fsync", "replace", "fsync"]


def test_many_files_are_brought_to_the_disk_together(tmp_path, monkeypatch):
    """Each has its name at once, and is synced once, and each folder once."""
    synced, real = [], os.fsync
    paths = [tmp_path / folder / name for folder in "ab" for name in "xyz"]

    def fsync(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    for path in paths:
        with files.replacing(path, make_folder=True, sync=False) as file:
            file.write(b"new")
        assert path.read_bytes() == b"new"
    assert synced == []
    paths[0].unlink()
    files.sync(paths)
    places = [*paths[1:], tmp_path / "a", tmp_path / "b"]
    assert sorted(synced) == sorted(path.stat().st_ino for path in places)


def test_folders_are_tried_before_long_work(tmp_path):
    folder = tmp_path / "a" / "b"
    files.make_writable(folder)
    assert folder.is_dir() and not os.listdir(folder)
    (tmp_path / "file").touch()
    with pytest.raises(files.WriteError) as caught:
        files.make_writable(tmp_path / "file")
    assert str(caught.value) == (
        f"{tmp_path / 'file'}: cannot be written (File exists). Something else has that name; "
        "choose another."
    )


def test_a_place_that_is_no_disk_is_not_called_unwritable():
    error = files.WriteError(errno.ENOENT, os.strerror(errno.ENOENT), "/proc/x")
    assert str(error).endswith("No files can be made there; choose another folder.")


def test_errors_of_the_system_name_the_file_and_no_numbers(tmp_path):
    with pytest.raises(OSError) as caught:
        os.listdir(tmp_path / "none")
    assert files.describe(caught.value) == f"{tmp_path / 'none'}: No such file or directory"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"\xff\xd8", "it is not text in UTF-8"),
        (b"x y", "Expected '='"),
    ],
)
def test_why_a_table_cannot_be_read(tmp_path, content, reason):
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{reason}"):
        files.read_toml(path)


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".npz")
    npz.save(path, {})
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_is_told_with_path_what_was_kept_and_remedy(tmp_path, monkeypatch, step, there):
    path = tmp_path / "state.npz"
    if there:
        path.write_bytes(b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(files.WriteError) as caught:
        npz.save(path, {})
    text = str(caught.value)
    assert text.startswith(f"{path}: cannot be written (No space left on device)")
    assert ("the file that was there is unchanged" in text) == there
    assert "Free some space" in text and "\n" not in text
    assert os.listdir(tmp_path) == (["state.npz"] if there else [])


def test_a_full_disk_is_known_inside_other_errors(tmp_path):
    with pytest.raises(files.WriteError, match="No space left"), files.replacing(tmp_path / "a"):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise ValueError("cannot be encoded") from error
    with pytest.raises(ValueError, match="^too wide$"), files.replacing(tmp_path / "a"):
        raise ValueError("too wide")
    assert os.listdir(tmp_path) == []


def test_event_files_on_a_full_disk_are_named(tmp_path):
    from adain.training.tensorboard import EventWriter

    writer = EventWriter(tmp_path)
    with open("/dev/full", "wb") as full:
        writer._file.close()
        writer._file = full
        full.write(b"x")
        with pytest.raises(files.WriteError, match=r"events\.out.*No space left.*Free some space"):
            writer.flush()
        writer._file = open(tmp_path / "other", "wb")
        with pytest.raises(OSError):
            full.close()
    writer.close()


def test_leftovers_of_killed_runs_go_and_those_of_live_ones_stay(tmp_path, write_slowly):
    killed, live = write_slowly(tmp_path / "a.png"), write_slowly(tmp_path / "b.png")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (tmp_path / ".mine.part").write_text("of another program")
    assert len(hidden(tmp_path)) == 3
    files.remove_leftovers([tmp_path, tmp_path / "nowhere"])
    left = hidden(tmp_path)
    assert len(left) == 2 and ".mine.part" in left
    live.kill()
    live.wait()
    files.remove_leftovers([tmp_path])
    assert os.listdir(tmp_path) == [".mine.part"]


def test_without_locks_age_tells_leftovers(tmp_path, monkeypatch):
    old, new = tmp_path / ".0123456789ab.part", tmp_path / ".ba9876543210.part"
    for path in (old, new):
        path.touch()
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)

    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files.fcntl, "flock", flock)
    npz.save(tmp_path / "a.npz", {})
    files.remove_leftovers([tmp_path])
    assert sorted(os.listdir(tmp_path)) == [new.name, "a.npz"]


def test_a_writer_notices_that_its_file_was_taken_for_a_leftover(tmp_path, monkeypatch):
    real, taken = files.fcntl.flock, []

    def flock(file, how):
        if not taken:
            taken.append(file.name)
            os.unlink(file.name)
        return real(file, how)

    monkeypatch.setattr(files.fcntl, "flock", flock)
    with files.replacing(tmp_path / "a") as file:
        file.write(b"x")
    assert taken and (tmp_path / "a").read_bytes() == b"x"


def test_damage_inside_an_archive_has_a_name(tmp_path):
    """Not `<_io.BytesIO object at 0x...>`."""
    from adain.presets import npz

    (tmp_path / "decoder.npz").write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match=r"not a readable \.npz") as caught:
        npz.load(tmp_path / "decoder.npz")
    assert str(tmp_path / "decoder.npz") in str(caught.value)
    assert "BytesIO" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_with_and_without_a_byte_order_mark(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes("é,ü\r\n漢,字\n".encode(encoding))
    assert files.read_text(path) == "é,ü\r\n漢,字\n"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnicodeDecodeError):
        files.read_text(path)


# === Walking ===


def test_walking_finds_regular_files_and_tells_the_rest_apart(tmp_path):
    root = tmp_path / "root"
    for name in ("b/2.jpg", "a.png", ".hidden.png", ".cache/c.png", "b.d/deep/er/x.y", "end./f"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "loop.jpg").symlink_to("loop.jpg")
    (root / "link.png").symlink_to("a.png")
    (root / "zero.jpg").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe.jpg")
    (root / "pipelink.jpg").symlink_to("pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(root / "socket.jpg"))
        found = folders.Walk(root)
    assert [path.relative_to(root).as_posix() for path in found.files] == [
        "a.png", "b.d/deep/er/x.y", "b/2.jpg", "end./f", "gone.jpg", "link.png", "loop.jpg",
    ]  # fmt: skip
    assert [path.name for path in found.special] == [
        "pipe.jpg", "pipelink.jpg", "socket.jpg", "zero.jpg",
    ]  # fmt: skip
    assert found.problems == []


def test_each_folder_is_walked_once_and_under_its_own_path(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    (root / "z" / "deep").mkdir(parents=True)
    other.mkdir()
    for path in (root / "z" / "deep" / "1", other / "2"):
        path.touch()
    (root / "a_link").symlink_to(root / "z")
    (root / "z" / "up").symlink_to(root)
    (other / "back").symlink_to(root / "z")
    (root / "outside").symlink_to(other)
    (root / "again").symlink_to(other)
    found = folders.Walk(root)
    assert [path.relative_to(root).as_posix() for path in found.files] == ["again/2", "z/deep/1"]
    assert folders.Walk(root, leave_out=root / "z").files == [root / "again" / "2"]
    assert folders.Walk(root, leave_out=other).files == [root / "z" / "deep" / "1"]


def test_very_deep_folders_are_walked(tmp_path):
    """Deeper than Python recurses."""
    depth, folder = 1200, os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    found = folders.Walk(tmp_path).files
    # What cleans up after tests does recurse.
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)
    assert len(found) == 1


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").touch()
    real = os.scandir

    def scandir(path):
        if Path(path).name == "a":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = folders.Walk(tmp_path)
    assert found.files == [tmp_path / "b" / "f"]
    assert found.problems == [f"{tmp_path / 'a'}: this folder cannot be read (Permission denied)"]
