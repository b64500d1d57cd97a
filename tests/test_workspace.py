import gzip
import io
import os
import socket
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import workspace
from evals.arena import collection
from evals.errors import InputError

names = st.text(alphabet="abc.-_\u00e9", min_size=1, max_size=8).filter(lambda n: n not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
trees = st.dictionaries(paths, st.binary(max_size=64), max_size=8)


def test_links_out_of_the_workspace_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("host secret")
    root = tmp_path / "w"
    root.mkdir()
    (root / "file").symlink_to(secret / "key")
    (root / "folder").symlink_to(secret)
    (root / "gone").symlink_to("/nowhere")
    (root / "kept.py").write_text("x")
    collected = workspace.collect(root)
    assert dict(collected.files) == {"kept.py": b"x"}
    assert len(collected.dropped) == 3


def test_odd_files_are_dropped_and_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        (tmp_path / "huge").touch()
        os.truncate(tmp_path / "huge", workspace.MAX_FILE_BYTES + 1)
        os.close(os.open(os.fsencode(tmp_path) + b"/bad-\xff", os.O_CREAT))
        (tmp_path / "new\nline").write_text("x")
        collected = workspace.collect(tmp_path)
    assert dict(collected.files) == {"new\nline": b"x"}
    reasons = "\n".join(collected.dropped)
    assert all(word in reasons for word in ("pipe", "socket", "huge", "not UTF-8"))


def test_what_tools_leave_behind_is_no_part_of_a_delivery(tmp_path: Path) -> None:
    for name in ("__pycache__", ".git", "node_modules", ".venv"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("x")
    assert workspace.collect(tmp_path) == workspace.Collected(files={}, dropped=())


def test_deep_folders_end(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * (collection.MAX_DEPTH + 5))
    deep.mkdir(parents=True)
    (deep / "x").write_text("x")
    assert not workspace.collect(tmp_path).files


def test_too_many_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "MAX_FILES", 3)
    for n in range(5):
        (tmp_path / str(n)).touch()
    collected = workspace.collect(tmp_path)
    assert (len(collected.files), len(collected.dropped)) == (3, 2)


@given(trees)
def test_an_archive_gives_back_its_files(files: dict[str, bytes]) -> None:
    assert workspace.read_archive(workspace.archive(files), "x") == files


@given(trees)
def test_an_archive_depends_on_the_files_alone(files: dict[str, bytes]) -> None:
    backwards = dict(reversed(list(files.items())))
    assert workspace.archive(files) == workspace.archive(backwards)
    assert workspace.digest(files) == workspace.digest(backwards)


def hostile(member: tarfile.TarInfo) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(member)
    return gzip.compress(plain.getvalue())


def test_an_archive_that_would_leave_its_folder_is_refused() -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    for member in (tarfile.TarInfo("../x"), tarfile.TarInfo("/x"), tarfile.TarInfo("a/../../x"), link):
        with pytest.raises(InputError, match="not a regular file"):
            workspace.read_archive(hostile(member), "x.tar.gz")


@given(st.binary(max_size=200))
def test_any_bytes_are_no_archive_or_one(data: bytes) -> None:
    with pytest.raises(InputError):
        workspace.read_archive(data, "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads whatever is closed to others")
def test_what_is_closed_to_us_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("x")
    (tmp_path / "shut").write_text("x")
    (tmp_path / "shut").chmod(0)
    (tmp_path / "folder").mkdir(mode=0)
    collected = workspace.collect(tmp_path)
    assert set(collected.files) == {"open"}
    assert collected.dropped == ("shut: it cannot be read", "folder: it cannot be read")
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0
    (tmp_path / "folder").chmod(0o700)
