from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import JournalError, JournalFullError
from orchestrator.stores import _blobs
from orchestrator.stores._blobs import Blobs

DATA = b"some bytes"
DIGEST = hashlib.sha256(DATA).hexdigest()


def test_a_blob_lies_under_its_hash(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    assert blobs.put(DATA) == DIGEST
    assert (tmp_path / "blobs" / DIGEST[:2] / DIGEST[2:]).read_bytes() == DATA
    assert list((tmp_path / "blobs" / "new").iterdir()) == []
    assert list(blobs.digests()) == [DIGEST]


def test_a_blob_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(DATA)
    before = blobs.path(DIGEST).stat()
    Blobs(tmp_path).put(DATA)
    after = blobs.path(DIGEST).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("damage", [b"", b"some bytez", b"some bytes and more"])
def test_a_damaged_blob_is_refused_and_put_right_by_the_next_write(tmp_path: Path, damage: bytes) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(DATA)
    blobs.path(DIGEST).write_bytes(damage)
    with pytest.raises(JournalError, match="damaged"):
        blobs.get(DIGEST)
    blobs.put(DATA)
    assert blobs.get(DIGEST) == DATA


def test_everything_is_on_the_disk_before_put_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the calls is the promise: content, sync, folder of the new name, name, sync of the folder."""
    calls: list[str] = []
    blobs = Blobs(tmp_path / "blobs")
    blobs.put(b"another, so that the folders stand")
    file, folder, rename = _blobs.sync_file, _blobs.sync_folder, Path.rename

    def content(fd: int) -> None:
        calls.append(f"sync {os.fstat(fd).st_size} bytes")
        file(fd)

    def names(path: Path) -> None:
        calls.append(f"sync {path.name}")
        folder(path)

    def move(path: Path, target: Path) -> Path:
        calls.append("rename")
        return rename(path, target)

    monkeypatch.setattr(_blobs, "sync_file", content)
    monkeypatch.setattr(_blobs, "sync_folder", names)
    monkeypatch.setattr(Path, "rename", move)
    blobs.put(DATA)
    assert calls == [f"sync {len(DATA)} bytes", "sync blobs", "rename", f"sync {DIGEST[:2]}"]
    calls.clear()
    blobs.put(DATA)
    assert calls == [f"sync {DIGEST[:2]}"]


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, JournalFullError), (errno.EDQUOT, JournalFullError), (errno.EIO, JournalError)]
)
@pytest.mark.parametrize("call", ["write", "sync_file", "rename", "sync_folder"])
def test_a_failing_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, error: type[JournalError]
) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(b"another")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    places: dict[str, tuple[object, str]] = {
        "write": (os, "write"),
        "rename": (Path, "rename"),
        "sync_file": (_blobs, "sync_file"),
        "sync_folder": (_blobs, "sync_folder"),
    }
    with monkeypatch.context() as failing:
        failing.setattr(*places[call], fail)
        with pytest.raises(error) as caught:
            blobs.put(DATA)
    assert type(caught.value) is error
    assert list((tmp_path / "new").iterdir()) == []
    assert blobs.put(DATA) == DIGEST
    assert blobs.get(DIGEST) == DATA


def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    Blobs(tmp_path).put(DATA)
    old, young = tmp_path / "new" / "old", tmp_path / "new" / "young"
    for file in (old, young):
        file.write_bytes(b"unfinished")
    os.utime(old, (1.0, 1.0))
    Blobs(tmp_path).put(DATA)
    assert not old.exists()
    assert young.exists()


def test_a_part_that_another_writer_takes_away_during_the_look_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "gone").symlink_to("nowhere")  # listed, and not there when it is asked about
    assert Blobs(tmp_path).put(DATA) == DIGEST


def test_many_threads_store_the_same_bytes(tmp_path: Path) -> None:
    import threading

    blobs = Blobs(tmp_path)
    found: list[str] = []
    store: Callable[[], None] = lambda: found.extend(blobs.put(DATA) for _ in range(20))  # noqa: E731
    threads = [threading.Thread(target=store) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [DIGEST] * 80
    assert blobs.get(DIGEST) == DATA
