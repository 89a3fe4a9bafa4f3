"""Movies: chunk by chunk, on workers, killed and resumed."""

import errno
import hashlib
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import warnings

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import temlib
from temlib import cli
from temlib.errors import OutputError
from temlib.files.micrographs import micrograph
from temlib.jobs import movie_results, movies
from temlib.jobs.records import alone
from temlib.jobs.results import results_in
from temlib.network import unet
from temlib.network.segmenter import Segmenter
from temlib.network.workers import Parcel, segmenter_fingerprint
from temlib.reproduction.run_folder import MEASURED
from tests.conftest import ROOT

pytest.importorskip("zarr", reason="needs zarr: pip install 'temlib[cluster]'")
FRAMES, SHAPE, CHUNK = 8, (40, 56), 3
TIME = {"name": "time", "scale": 0.25, "offset": 3.0, "units": "s"}


def save_movie(path, frames=FRAMES, shape=SHAPE, chunk=CHUNK):
    data = np.random.default_rng(0).integers(0, 4000, (frames, *shape)).astype(np.uint16)
    movie = micrograph(da.from_array(data, chunks=(chunk, *shape)), 0.5, "a movie", [TIME])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        movie.save(path, show_progressbar=False)
    return path


@pytest.fixture(scope="module")
def segmenter():
    encoder = unet.encoder(None, 0.25, seed=1)
    return Segmenter(unet.unet(encoder, unet.decoder([m.shape[-1] for m in encoder.outputs], seed=2)), threshold=0.49)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(movies, "_PIXELS", 1)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    return save_movie(tmp_path_factory.mktemp("movie") / "movie.zspy")


def segment(movie, out, segmenter, **options):
    return movies.segment_movie(movie, out, segmenter, **{"scale": 1.0, "progress": False} | options)


def content(folder):
    """What lies in a folder, the time of writing apart."""
    files = {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file() and "FileIO" not in str(p)}
    return {k: hashlib.sha256(p.read_bytes()).hexdigest() for k, p in files.items() if p.name != ".zmetadata"}


@pytest.fixture(scope="module")
def whole(movie, segmenter, tmp_path_factory):
    """What a run gives that nothing stops."""
    out = tmp_path_factory.mktemp("whole") / "mask.zspy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(movies, "_PIXELS", 1)
        segment(movie, out, segmenter)
    return out


def test_a_movie_gives_what_its_stack_gives(movie, segmenter, whole):
    stack = temlib.load_micrograph(movie)
    mask = temlib.load_micrograph(whole, lazy=True)
    assert mask._lazy
    assert mask.data.dtype == bool
    assert mask.data.chunks == ((3, 3, 2), (40,), (56,))
    data = mask.data.compute()
    assert (data != segmenter(stack, 1.0).data).mean() < 1e-4
    assert 0.01 < data.mean() < 0.99
    assert mask.axes_manager.as_dictionary() == stack.axes_manager.as_dictionary()
    table = pd.read_csv(whole.with_suffix(".csv"))
    assert list(table["frame"]) == list(range(FRAMES))
    np.testing.assert_allclose(table["covered"], data.mean(axis=(1, 2)), rtol=1e-5)
    assert sorted(path.name for path in whole.parent.iterdir()) == ["mask.csv", "mask.zspy"]


def test_chunks_hold_several_of_the_file_where_those_are_small(movie, monkeypatch):
    assert [movies.Movie.of(movie).part(i) for i in range(3)] == [slice(0, 3), slice(3, 6), slice(6, 8)]
    assert [movies.Movie.of(movie, chunk=n).frames for n in (1, 5, 6, 100)] == [3, 3, 6, 8]
    monkeypatch.setattr(movies, "_PIXELS", 7 * SHAPE[0] * SHAPE[1])
    assert [movies.Movie.of(movie).part(i) for i in range(2)] == [slice(0, 6), slice(6, 8)]


class Killed(BaseException):
    """Nothing that is caught on the way."""


def test_a_movie_is_taken_from_a_file_that_offers_a_picture_too(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (3, 40, 50), np.uint8)
    tifffile.imwrite(tmp_path / "three.tif", frames, photometric="rgb", planarconfig="separate")
    movie = movies.Movie.of(tmp_path / "three.tif", signal=1)
    np.testing.assert_array_equal(movie.open().data.compute(), frames)
    with pytest.warns(UserWarning, match="--signal"), pytest.raises(temlib.MicrographError, match="is an image"):
        movies.Movie.of(tmp_path / "three.tif")


def test_a_link_to_a_movie_is_read_as_its_own_name_says(tmp_path):
    frames = np.arange(4 * 30 * 40, dtype=np.uint16).reshape(4, 30, 40)
    (tmp_path / "store").mkdir()
    tifffile.imwrite(tmp_path / "store" / "abcd12", frames, photometric="minisblack")
    (tmp_path / "labels.tif").symlink_to("store/abcd12")
    movie = movies.Movie.of(tmp_path / "store" / ".." / "labels.tif")
    assert movie.path == str(tmp_path.resolve() / "labels.tif")
    np.testing.assert_array_equal(movie.open().data.compute(), frames)


def killed_at(step, monkeypatch):
    """Let the process end when it is about to rename its file number ``step``; every file of ours is renamed."""
    rename, steps = os.replace, []

    def replace(*names, **options):
        steps.append(names)
        if len(steps) == step:
            raise Killed
        return rename(*names, **options)

    monkeypatch.setattr(os, "replace", replace)
    return steps


def test_killed_at_any_point_it_ends_with_the_same_result(movie, segmenter, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        steps = killed_at(0, patch)
        segment(movie, tmp_path / "mask.zspy", segmenter)
    last = len(steps)
    for step in [*range(1, last - 20, 18), *range(last - 12, last + 1, 2)]:  # in each of the chunks, and before
        out = tmp_path / str(step) / "mask.zspy"
        with monkeypatch.context() as patch:
            killed_at(step, patch)
            with pytest.raises(Killed):
                segment(movie, out, segmenter)
        assert not out.exists()
        segment(movie, out, segmenter)
        assert content(out) == content(whole), step
        assert out.with_suffix(".csv").read_bytes() == whole.with_suffix(".csv").read_bytes()
        assert sorted(path.name for path in out.parent.iterdir()) == ["mask.csv", "mask.zspy"]


def test_what_is_far_in_size_from_what_is_told_is_in_no_mask(movie, segmenter, tmp_path):
    told = {"scale": 1.0, "diameter_px": 9.0}
    temlib.segment_movie(movie, tmp_path / "mask.zspy", segmenter, progress=False, **told)
    expected = segmenter(temlib.load_micrograph(movie), **told).data
    np.testing.assert_array_equal(temlib.load_micrograph(tmp_path / "mask.zspy", lazy=False).data, expected)
    assert (expected != segmenter(temlib.load_micrograph(movie), 1.0).data).any()


def test_what_is_done_is_not_done_again(movie, segmenter, whole, tmp_path, monkeypatch):
    out, segmented = tmp_path / "mask.zspy", []
    of_frames = Segmenter.of_frames

    def counted(self, frames, *arguments, **options):
        segmented.append(frames[:, 0, 0].tolist())
        if len(segmented) == 2:
            raise Killed
        return of_frames(self, frames, *arguments, **options)

    monkeypatch.setattr(Segmenter, "of_frames", counted)
    with pytest.raises(Killed):
        segment(movie, out, segmenter)
    table = segment(movie, out, segmenter)
    first = temlib.load_micrograph(movie).data[:, 0, 0].tolist()
    assert segmented == [first[:3], first[3:6], first[3:6], first[6:]]
    assert list(table["new"]) == [False] * 3 + [True] * 5
    assert content(out) == content(whole)


def test_a_chunk_that_fails_stops_no_other(movie, segmenter, whole, tmp_path, monkeypatch):
    out, of_frames = tmp_path / "mask.zspy", Segmenter.of_frames
    bad = temlib.load_micrograph(movie).data[3, 0, 0]

    def failing(self, frames, *arguments, **options):
        if frames[0, 0, 0] == bad:
            raise OSError("the disk cannot be read")
        return of_frames(self, frames, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "of_frames", failing)
        with pytest.raises(
            temlib.TemlibError, match=r"1 of 3 chunks failed.* frames 3 to 5 \(the disk cannot be read\)"
        ):
            segment(movie, out, segmenter)
    assert not out.exists()
    assert segment(movie, out, segmenter)["new"].sum() == 3
    assert content(out) == content(whole)


def test_results_of_other_settings_are_not_mixed(movie, segmenter, tmp_path, monkeypatch):
    out = tmp_path / "mask.zspy"

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "of_frames", killed)
        with pytest.raises(Killed):
            segment(movie, out, segmenter)
    with pytest.raises(temlib.TemlibError, match=r"another movie, network or settings; delete it, or pass overwrite"):
        segment(movie, out, segmenter, scale=2.0)
    assert segment(movie, out, segmenter, scale=2.0, overwrite=True)["new"].all()
    with pytest.raises(temlib.TemlibError, match="exists already; pass overwrite=True"):
        segment(movie, out, segmenter)
    segment(movie, out, segmenter, what="particles", overwrite=True)
    assert temlib.load_micrograph(out).data.dtype == np.int32


def save_frames(path, frames, chunk=1):
    """Write frames as a movie of chunks of their own."""
    movie = micrograph(da.from_array(frames, chunks=(chunk, *frames.shape[1:])), 0.5, "a movie", [TIME])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        movie.save(path, show_progressbar=False, overwrite=True)
    return path


DROPPED = {1: (np.nan, "no finite pixel"), 2: (0, "all pixels are 0"), 4: (np.inf, "no finite pixel")}


@pytest.mark.parametrize("chunk", [1, 6])
@pytest.mark.parametrize("what", ["mask", "probability", "particles"])
def test_a_dropped_frame_is_an_empty_frame(what, chunk, segmenter, tmp_path):
    frames = np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32)
    whole = segment(save_frames(tmp_path / "whole.zspy", frames), tmp_path / "a.zspy", segmenter, what=what)
    for number, (value, _) in DROPPED.items():
        frames[number] = value
    table = segment(save_frames(tmp_path / "some.zspy", frames, chunk), tmp_path / "b.zspy", segmenter, what=what)
    assert list(table["note"]) == [DROPPED.get(number, ("", ""))[1] for number in range(6)]
    kept = [number for number in range(6) if number not in DROPPED]
    assert not table["covered"][list(DROPPED)].any()
    assert table["expected_iou"][list(DROPPED)].isna().all()
    np.testing.assert_allclose(table["covered"][kept], whole["covered"][kept], atol=1e-4)
    assert (pd.read_csv(tmp_path / "b.csv")["note"].fillna("") == table["note"]).all()


def killed_halfway(movie, out, segmenter, **options):
    with pytest.MonkeyPatch.context() as patch:
        of_frames, calls = Segmenter.of_frames, []

        def stop(self, *arguments, **options):
            calls.append(1)
            if len(calls) == 2:
                raise Killed
            return of_frames(self, *arguments, **options)

        patch.setattr(Segmenter, "of_frames", stop)
        with pytest.raises(Killed):
            segment(movie, out, segmenter, **options)


def test_another_movie_of_the_same_shape_and_time_is_another_one(segmenter, tmp_path):
    """As when a movie is recorded again under its old name, or copied with its time."""
    frames = np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32)
    movie, out = save_frames(tmp_path / "movie.zspy", frames), tmp_path / "mask.zspy"
    times = movie.stat()
    killed_halfway(movie, out, segmenter)
    frames[5, 0, 0] += 1
    save_frames(movie, frames)
    os.utime(movie, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(temlib.TemlibError, match="what is left of a run with another movie"):
        segment(movie, out, segmenter)


def test_a_run_that_was_told_something_else_is_not_gone_on_with(movie, segmenter, tmp_path):
    out, told = tmp_path / "mask.zspy", {"diameter_px": 9.0, "contrast": "dark"}
    killed_halfway(movie, out, segmenter, **told)
    others = ({"diameter_px": 10.0}, {"contrast": "bright"}, {"contrast": "auto"}, {"marks": "keep"})
    for other in (*others, {"diameter_px": None}):
        with pytest.raises(
            temlib.TemlibError, match=r"another movie, network or settings; delete it, or pass overwrit"
        ):
            segment(movie, out, segmenter, **told | other)
    assert list(segment(movie, out, segmenter, **told)["new"]) == [False] * 3 + [True] * 5


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_in_the_way_and_not_ours_stays(movie, segmenter, tmp_path, overwrite):
    victim, partial = tmp_path / "victim", tmp_path / ".mask.zspy.partial"
    (victim / "done").mkdir(parents=True)
    (victim / "done" / "thesis.txt").write_text("mine")
    partial.symlink_to(victim)
    for _ in ("a link", "a folder"):
        with pytest.raises(temlib.TemlibError, match=r"\.mask\.zspy\.partial: is in the way of the result"):
            segment(movie, tmp_path / "mask.zspy", segmenter, overwrite=overwrite)
        assert (victim / "done" / "thesis.txt").read_text() == "mine"
        if partial.is_symlink():
            partial.unlink()
            victim.rename(partial)
            victim = partial


def test_a_users_table_and_the_movie_itself_are_not_replaced(movie, segmenter, tmp_path):
    (tmp_path / "mask.csv").write_text("mine")
    with pytest.raises(temlib.TemlibError, match=r"mask\.csv: exists already; pass overwrite=True"):
        segment(movie, tmp_path / "mask.zspy", segmenter)
    assert (tmp_path / "mask.csv").read_text() == "mine"
    with pytest.raises(temlib.TemlibError, match=r"movie\.zspy: is the movie itself"):
        segment(movie, movie, segmenter, overwrite=True)


def test_something_else_in_the_folder_of_the_result_stays(movie, segmenter, whole, tmp_path):
    killed_halfway(movie, tmp_path / "mask.zspy", segmenter)
    (tmp_path / ".mask.zspy.partial" / "notes.txt").write_text("mine")
    segment(movie, tmp_path / "mask.zspy", segmenter)
    assert content(tmp_path / "mask.zspy") == content(whole)
    assert [path.name for path in (tmp_path / ".mask.zspy.partial").iterdir()] == ["notes.txt"]


def test_two_runs_for_one_result_are_refused_in_a_line(movie, segmenter, tmp_path):
    with (
        alone(tmp_path, "mask.zspy"),
        pytest.raises(temlib.TemlibError, match=r"mask\.zspy: another process of temlib"),
    ):
        segment(movie, tmp_path / "mask.zspy", segmenter)
    with alone(tmp_path, "other.zspy"):
        segment(movie, tmp_path / "mask.zspy", segmenter)


def test_a_result_is_no_micrograph(movie, whole):
    assert results_in(whole.parent) == {"mask.zspy", "mask.csv"}
    assert not results_in(movie.parent)


def test_a_full_disk_names_the_file_and_ends_the_run(movie, segmenter, whole, tmp_path, monkeypatch):
    out, segmented = tmp_path / "mask.zspy", []
    array, of_frames = movie_results._array, Segmenter.of_frames

    class Full:
        def __setitem__(self, part, frames):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(movie_results, "_array", lambda path: Full() if len(segmented) > 1 else array(path))
        patch.setattr(
            Segmenter, "of_frames", lambda self, *given, **told: segmented.append(1) or of_frames(self, *given, **told)
        )
        with pytest.raises(OutputError, match=r"mask\.zspy: cannot be written \(No space left on device\); free some"):
            segment(movie, out, segmenter)
    assert len(segmented) == 2
    assert segment(movie, out, segmenter)["new"].sum() == FRAMES - CHUNK
    assert content(out) == content(whole)


def test_ctrl_c_is_one_line(movie, segmenter, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("temlib.network.segmenter.load_segmenter", lambda path, runtime: segmenter)
    command = ["segment", str(movie), "--out", str(tmp_path / "mask.zspy"), "--scale", "1"]
    with monkeypatch.context() as patch:

        def stop(*_, **__):
            raise KeyboardInterrupt

        patch.setattr(Segmenter, "of_frames", stop)
        assert cli.main(command) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("temlib: stopped; what is done is kept")
    assert cli.main(command) == 0


def test_what_is_no_movie_is_refused(movie, segmenter, tmp_path):
    with pytest.raises(temlib.TemlibError, match=r"mask\.tif: a movie's result .* ends in \.zspy"):
        segment(movie, tmp_path / "mask.tif", segmenter)
    with pytest.raises(temlib.MicrographError, match="no such file"):
        segment(tmp_path / "none.zspy", tmp_path / "mask.zspy", segmenter)
    temlib.save_micrograph(micrograph(np.ones((40, 40))), tmp_path / "image.tif")
    with pytest.raises(temlib.MicrographError, match="is an image, not a movie"):
        segment(tmp_path / "image.tif", tmp_path / "mask.zspy", segmenter)
    with pytest.raises(temlib.MicrographError, match="the pixel size of training is unknown"):
        segment(movie, tmp_path / "mask.zspy", segmenter, scale="calibrated")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tif"]


def test_a_segmenter_travels_as_its_file_and_is_loaded_once(segmenter, monkeypatch):
    sent = pickle.dumps(segmenter.parcel())
    first, second = pickle.loads(sent), pickle.loads(sent)
    arrived = first.open()
    assert arrived is second.open()
    assert arrived is not segmenter
    assert segmenter_fingerprint(arrived) == segmenter_fingerprint(segmenter) == first.key
    image = np.random.default_rng(0).normal(size=SHAPE)
    np.testing.assert_allclose(arrived.maps(image, 1.0), segmenter.maps(image, 1.0), atol=1e-6)
    assert segmenter.parcel().open() is segmenter
    other = Segmenter(segmenter.model, threshold=0.3)
    assert segmenter_fingerprint(other) != segmenter_fingerprint(segmenter)
    assert pickle.loads(pickle.dumps(other.parcel())).open().threshold == 0.3


def test_a_scheduler_at_an_address(movie, segmenter, whole, tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs dask.distributed: pip install 'temlib[cluster]'")
    loads = []
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster,
        pytest.MonkeyPatch.context() as patch,
    ):
        load = Parcel._load
        patch.setattr(Parcel, "_load", lambda parcel: loads.append(parcel.key) or load(parcel))
        Parcel._loaded.clear()
        table = segment(movie, tmp_path / "mask.zspy", segmenter, scheduler=cluster.scheduler_address)
        mask = segmenter(temlib.load_micrograph(movie, lazy=True), 1.0)
        with distributed.Client(cluster):
            computed = mask.data.compute()
    assert table["new"].all()
    assert len(loads) <= 1
    assert content(tmp_path / "mask.zspy") == content(whole)
    assert (computed != temlib.load_micrograph(whole).data).mean() < 1e-4


def test_no_scheduler_at_that_address(movie, segmenter, tmp_path):
    dask = pytest.importorskip("dask")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(temlib.TemlibError, match=r"tcp://127\.0\.0\.1:9: no scheduler answers there"),
    ):
        segment(movie, tmp_path / "mask.zspy", segmenter, scheduler="tcp://127.0.0.1:9")


def test_without_the_extra_packages_it_says_what_to_install(movie, segmenter, tmp_path, monkeypatch):
    for name, options in (("distributed", {"workers": 2}), ("zarr", {})):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(temlib.TemlibError, match=r"pip install 'temlib\[cluster\]'"):
                segment(movie, tmp_path / f"{name}.zspy", segmenter, **options)


def test_the_command(movie, segmenter, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("temlib.network.segmenter.load_segmenter", lambda path, runtime: segmenter)
    command = ["segment", str(movie), "--out", str(tmp_path / "mask.zspy"), "--scale", "1"]
    assert cli.main(command) == 0
    assert "mask.zspy: 8 frames segmented, 0 done before" in capsys.readouterr().out
    assert cli.main(command) == 2
    assert "exists already" in capsys.readouterr().err
    assert cli.main([*command, "--overwrite", "--pixel-size", "2", "--chunk", "6"]) == 0
    assert temlib.pixel_size_of(temlib.load_micrograph(tmp_path / "mask.zspy")) == (2, 2)
    assert cli.main(["segment", str(movie), str(movie), "--out", str(tmp_path / "two.zspy")]) == 2
    assert "is the mask of one movie" in capsys.readouterr().err
    assert cli.main(["segment", str(movie), "--out", str(tmp_path), "--chunk", "2"]) == 2
    assert "for a movie, whose --out ends in .zspy" in capsys.readouterr().err


COMMAND = (
    "import sys; from temlib import cli; from temlib.jobs import movies; movies._PIXELS = 1; "
    "sys.exit(cli.main(sys.argv[1:]))"
)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_for_good_it_goes_on(workers, tmp_path):
    """kill -9, five times in a row, at random points; with workers, the whole group of processes."""
    rng = random.Random(0)
    movie = save_movie(tmp_path / "movie.zspy", frames=96, shape=(128, 160), chunk=1)

    def start(out, workers="1"):
        arguments = ["segment", str(movie), "--out", str(out), "--workers", workers]
        return subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], cwd=ROOT, start_new_session=True)

    assert start(tmp_path / "whole.zspy").wait() == 0
    out = tmp_path / "mask.zspy"
    done = tmp_path / ".mask.zspy.partial" / "done"
    for kills in range(1, 6):
        process = start(out, workers)
        enough = len(list(done.glob("*.json"))) + rng.randint(1, 6)
        while len(list(done.glob("*.json"))) < enough:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(rng.random() / 20)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not out.exists(), kills
    assert start(out, workers).wait() == 0
    np.testing.assert_array_equal(
        temlib.load_micrograph(out).data, temlib.load_micrograph(tmp_path / "whole.zspy").data
    )
    assert out.with_suffix(".csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize(
    ("wish", "reason"),
    [({"what": "masks"}, "what='masks'"), ({"workers": 0}, "workers=0"), ({"chunk": 0}, "chunk=0")],
)
def test_wishes_that_make_no_sense_are_refused_before_anything_is_written(wish, reason, tmp_path):
    with pytest.raises(temlib.TemlibError, match=reason):
        temlib.segment_movie(tmp_path / "movie.zspy", tmp_path / "mask.zspy", None, **wish)
    assert not list(tmp_path.iterdir())


def test_the_page_on_clusters_says_what_was_measured():
    table = pd.read_csv(MEASURED / "movies.csv").set_index(["runtime", "workers"])
    page = " ".join((ROOT / "docs" / "clusters.md").read_text(encoding="utf-8").split())
    alone = table.loc[("keras", 0)]
    ms = round(alone["network_ms"] * (1 + alone["overhead_percent"] / 100))
    assert f"1,000,000 frames x {ms} ms = {1000 * ms:,} s of one core = {1000 * ms / 3600:.0f} core-hours" in page
    assert (
        f"{alone['overhead_percent']:.0f} % more | {table.loc[('openvino', 0), 'overhead_percent']:.0f} % more" in page
    )
    assert f"{alone['movie'] / 1e3:.0f} kB = {alone['movie'] / 1e3:.0f} GB of movie" in page.replace("1,000,000 x ", "")
    assert f"| {table['peak_mb'].max():.0f} MB |" in page
    rates = {workers: [table.loc[(r, workers), "frames_per_s"] for r in ("keras", "openvino")] for workers in (0, 1, 2)}
    assert "did {:.1f} frames a second with Keras and {:.1f} with OpenVINO".format(*rates[0]) in page
    assert "did {:.1f} and {:.1f}, two of them".format(*rates[1]) in page
    assert "two of them {:.1f} and {:.1f} times".format(*(two / one for two, one in zip(rates[2], rates[1]))) in page
    alone_ms, beside_ms = (1e3 * workers / table.loc[("keras", workers), "frames_per_s"] for workers in (1, 2))
    assert f"such a worker {alone_ms:.0f} ms, not the {ms} ms of a process alone, and {beside_ms:.0f} ms" in page
    assert f"add {100 * (alone_ms / ms - 1):.0f} to {100 * (beside_ms / ms - 1):.0f} %" in page
    assert f"out {table['tasks_per_s'].min():.0f} empty tasks a second at the least" in page
    for workers in (10, 1000):
        assert f"| {workers} workers | " in page
        assert f"| {workers * 1e3 / ms:,.0f} | {workers * alone['movie'] / 1e3 / ms:,.0f} MB/s |" in page


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 7), st.integers(1, 9), st.tuples(st.integers(20, 50), st.integers(20, 50)))
def test_any_chunks_give_the_masks_of_the_frames(tmp_path_factory, segmenter, frames, chunk, shape):
    folder = tmp_path_factory.mktemp("any")
    movie = save_movie(folder / "movie.zspy", frames, shape, min(chunk, frames))
    segment(movie, folder / "mask.zspy", segmenter, chunk=chunk)
    written = temlib.load_micrograph(folder / "mask.zspy").data
    seen = temlib.load_micrograph(movie).data.reshape(frames, *shape)
    each = [segmenter(frame, scale=1.0) for frame in seen]
    assert np.array_equal(np.asarray(written).reshape(seen.shape) != 0, np.stack(each))
