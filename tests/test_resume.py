"""Nothing lost: a batch that is killed goes on to the same bytes; what cannot be written leaves what was there."""

import errno
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import temlib
from temlib import cli
from temlib.errors import OutputError
from temlib.files.labels import label_files
from temlib.files.micrographs import micrograph
from temlib.jobs import batch
from temlib.writing import remove_leftovers, write_atomically
from tests.conftest import ROOT, disc
from tests.test_batch import Threshold

# A batch in a process that can be killed, with the segmenter of tests/test_batch.py.
BATCH = """
import sys
from pathlib import Path
from temlib.jobs import batch
from temlib.writing import remove_leftovers, write_atomically, write_text
from tests.test_batch import Threshold
folder = Path(sys.argv[1])
batch.segment_files(batch.files_in([folder / "in"]), folder / sys.argv[2], Threshold(), progress=False)
"""


MICROGRAPHS = (  # file, pixel size [nm], centres of particles: with two of them there is a report
    ("a.tif", 0.5, [(30, 30), (30, 70)]),
    ("NA.hspy", None, [(30, 0)]),
    ("c.tif", 0.5, []),
)


@pytest.fixture
def folder(tmp_path):
    for number, (name, size, centres) in enumerate(MICROGRAPHS):
        image = np.ones((60, 100), np.float32)
        for centre in centres:
            image[disc(image.shape, centre, 9 + number)] = 0
        temlib.save_micrograph(micrograph(image, size), tmp_path / "in" / name)
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class Killed(BaseException):
    """What no ``except`` of ours may hold."""


@pytest.fixture
def kill(monkeypatch):
    """Kill this process, so to speak, when it has written so many files."""
    replace, left = os.replace, [0]

    def replace_or_die(source, target):
        if left[0] == 0:
            os.link(source, os.path.join(os.path.dirname(target), leftover("png")))  # left behind
            raise Killed
        left[0] -= 1
        replace(source, target)

    def brief_report(stem, *_, **__):  # a page takes a second to draw, and is written like all else
        write_atomically(f"{stem}.json", lambda temporary: temporary.write_text("{}"))

    monkeypatch.setattr(os, "replace", replace_or_die)
    monkeypatch.setattr(batch, "save_report", brief_report)

    def after(writes, *arguments, **options):
        left[0] = writes
        try:
            batch.segment_files(*arguments, Threshold(), progress=False, **options)
        except Killed:
            return True
        return False

    return after


def test_a_batch_killed_at_any_write_resumes_to_the_same_bytes(folder, kill):
    files = batch.files_in([folder / "in"])
    assert not kill(-1, files, folder / "whole")
    whole = contents(folder / "whole")
    names = list(pd.read_csv(folder / "whole" / "micrographs.csv", keep_default_na=False)["micrograph"])
    assert names == ["NA", "a", "c"]
    writes = 0
    while kill(writes, files, folder / f"out{writes}"):
        assert not kill(-1, files, folder / f"out{writes}")
        assert contents(folder / f"out{writes}") == whole
        writes += 1
    assert writes > 15


def test_a_batch_killed_again_and_again_comes_to_its_end(folder, kill):
    files = batch.files_in([folder / "in"])
    kill(-1, files, folder / "whole")
    kills = 0
    while kill(8, files, folder / "out"):
        kills += 1
        assert kills < 20
    assert kills > 1
    assert contents(folder / "out") == contents(folder / "whole")


def test_a_batch_with_other_settings_that_is_killed_takes_no_old_result_for_its_own(folder, kill):
    files = batch.files_in([folder / "in"])
    kill(-1, files, folder / "whole", pixel_size_nm=3.0)
    for writes in range(3):
        kill(-1, files, folder / "out")
        assert kill(writes, files, folder / "out", pixel_size_nm=3.0, overwrite=True)
        if writes == 0:  # before the new settings were written
            with pytest.raises(temlib.TemlibError, match="other settings"):
                kill(-1, files, folder / "out", pixel_size_nm=3.0)
        kill(-1, files, folder / "out", pixel_size_nm=3.0, overwrite=writes == 0)
        assert contents(folder / "out") == contents(folder / "whole")
        kill(-1, files, folder / "out", overwrite=True)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "trials", "kills"), [(False, 8, 3), (True, 3, 2)])
def test_a_batch_killed_with_sigkill_resumes_to_the_same_bytes(folder, network, trials, kills):
    """At random moments, a process of its own: with a segmenter that takes no time, and the command itself."""

    def start(out):
        arguments = [sys.executable, "-c", BATCH, str(folder), out]
        if network:
            code = "from temlib.cli import main; raise SystemExit(main())"
            arguments = [sys.executable, "-c", code, "segment", str(folder / "in"), "--out", str(folder / out)]
        return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def seconds_of(out):
        started = time.monotonic()
        assert start(out).wait() == 0
        return time.monotonic() - started

    seconds = min(seconds_of("whole"), seconds_of("whole again"))  # the first one may have waited for the disk
    moment, killed = random.Random(0), 0
    for trial in range(trials):
        for _ in range(kills):
            process = start(f"out{trial}")
            time.sleep(seconds * moment.uniform(0.2, 1.0))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        assert start(f"out{trial}").wait() == 0
        assert contents(folder / f"out{trial}") == contents(folder / "whole")
    assert killed >= trials  # the others had ended before


def leftover(suffix, process=2**22 + 7, host=None):
    """The name of a file that a process left half-written."""
    host = re.sub("[^A-Za-z0-9.]", "_", socket.gethostname())[:40] if host is None else host
    return f".temlib-{process}-{host}-0.{suffix}"


def test_leftovers_of_the_dead_are_removed_and_of_the_living_kept(tmp_path):
    others = [
        leftover("png", os.getpid()),
        leftover("png", host="elsewhere"),
        ".thesis.3999999-part.docx",
        "c-part.png",
    ]
    for name in [*others, leftover("png"), leftover("csv", 2**22 + 8)]:
        (tmp_path / name).write_text("")
    for name, file in [(leftover("zarr", os.getpid()), "a.tif"), (leftover("d"), "mask000.tif")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("")
    others.append(leftover("zarr", os.getpid()))
    (tmp_path / leftover("tif")).symlink_to(tmp_path / "c.png")
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, leftover("tif")])


def writers(folder):
    """All that writes files for a user, by name: a call that replaces, or makes, files in the folder."""
    labels = np.zeros((20, 30), np.int32)
    labels[5:12, 4:15] = 1
    image = micrograph(np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32), 0.5)
    files = batch.files_in([folder.parent / "in"])
    return {
        "a.hspy": lambda: temlib.save_micrograph(image, folder / "a.hspy", overwrite=True),
        "a.tif": lambda: temlib.save_micrograph(image, folder / "a.tif", overwrite=True),
        "a.png": lambda: temlib.save_micrograph(micrograph(labels > 0), folder / "a.png", overwrite=True),
        "labels.tif": lambda: label_files.save_labels(labels, folder / "labels.tif", overwrite=True),
        "rois.zip": lambda: label_files.save_rois(labels, folder / "rois.zip", overwrite=True),
        "coco.json": lambda: label_files.save_coco({"a": labels}, folder / "coco.json", overwrite=True),
        "settings.json": lambda: batch.segment_files(files, folder, Threshold(), overwrite=True, progress=False),
    }


def refused_in_one_line(write):
    with pytest.raises(OutputError) as caught:
        write()
    assert "cannot be written" in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits, which Windows does not have")
@pytest.mark.parametrize("limit", [0, 40])
def test_a_full_disk_gives_one_line_and_leaves_what_was_there(folder, limit):
    """No file may grow beyond the limit: for a writer the same as a disk that has no more room."""
    import resource

    out = folder / "out"
    out.mkdir()
    for name in writers(out):
        (out / name).write_text("before")
    before = contents(out)
    for name, write in writers(out).items():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            assert name in refused_in_one_line(write)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert contents(out) == before


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_into_gives_one_line(folder, monkeypatch, reason):
    """The same errors from the operating system's last step, the renaming."""
    out = folder / "out"
    out.mkdir()

    def fail(source, target):
        raise OSError(reason, os.strerror(reason), source)

    monkeypatch.setattr(os, "replace", fail)
    for name, write in writers(out).items():
        message = refused_in_one_line(write)
        assert name in message
        assert os.strerror(reason) in message
        assert contents(out) == {}


def test_a_file_where_a_folder_should_be_is_named(folder):
    (folder / "out").write_text("before")
    for write in writers(folder / "out" / "in it").values():
        refused_in_one_line(write)
    assert (folder / "out").read_text() == "before"


def test_what_a_format_cannot_hold_is_not_blamed_on_the_disk(tmp_path):
    image = micrograph(np.zeros((4, 5), np.float32))
    with pytest.raises(OutputError, match=r"a\.png: cannot be written .*; take another format"):
        temlib.save_micrograph(image, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_commands_say_in_one_line_that_they_cannot_write(folder, monkeypatch, capsys):
    monkeypatch.setattr("temlib.network.segmenter.load_segmenter", lambda path, runtime: Threshold())
    (folder / "file").write_text("before")
    assert cli.main(["segment", str(folder / "in"), "--out", str(folder / "file" / "out")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("temlib: ")
    assert cli.main(["figures", "--root", str(folder / "file")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("temlib: ")
    assert "file" in said[-1]
    assert (folder / "file").read_text() == "before"


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits, which Windows does not have")
def test_a_segmenter_that_cannot_be_written_leaves_the_one_that_was_there(tmp_path, monkeypatch):
    import resource

    segmenter = temlib.load_segmenter()
    path = segmenter.save(tmp_path / "a.keras")
    before = contents(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert "a.keras" in refused_in_one_line(lambda: segmenter.save(path, overwrite=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(tmp_path) == before
