"""Tracks of movies on disk: chunk by chunk, killed and resumed, and as others have them."""

import json
import warnings

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import tifffile

import temlib
from temlib import cli, synthetic, track_particles
from temlib.errors import RunError, TemlibError
from temlib.files.stacks import like
from temlib.jobs import challenge, movies, tracks
from temlib.jobs.challenge import export_tracks, lineage
from temlib.jobs.tracks import track_movie
from tests.test_movies import Killed, killed_at

pytest.importorskip("zarr", reason="needs zarr: pip install 'temlib[cluster]'")
FRAMES, CHUNK = 14, 3


def save(signal, path, frames=None):
    data = signal.data.compute()[:frames]
    signal = like(signal.inav[: len(data)], da.from_array(data, chunks=(CHUNK, *data.shape[1:])), "a movie")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        signal.save(path, show_progressbar=False)
    return path


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(movies, "_PIXELS", 1)


@pytest.fixture(scope="module")
def made():
    scene = synthetic.Scene(size_px=96, n_particles=8, diameter_nm=5, diameter_spread=0.2)
    return synthetic.movie(
        scene, FRAMES, 5, growth_nm=1.5, diffusion_nm2_s=0.5, nucleation_per_s=0.3, dissolving=0.2, dropped=0.1,
        drift_nm_s=(0.3, -0.2), seconds=0.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("movie")
    return save(made.labels, folder / "particles.zspy"), save(made.image, folder / "movie.zspy")


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "tracks.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(movies, "_PIXELS", 1)
        track_movie(*files[:1], out, files[1], progress=False)
    return out


def test_the_file_holds_the_table_of_the_function(files, whole):
    expected = track_particles(*files)
    table = pd.read_csv(whole, keep_default_na=True).assign(event=lambda t: t["event"].fillna(""))
    assert list(table.columns) == list(expected.columns)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, rtol=1e-5, atol=1e-6)
    assert (table["event"] != "").any()


@pytest.mark.parametrize("with_frames", [False, True])
def test_killed_at_any_point_it_ends_with_the_same_bytes(files, tmp_path, monkeypatch, with_frames):
    names = files if with_frames else files[:1]

    def track(out):
        return track_movie(names[0], out, *names[1:], progress=False)

    with monkeypatch.context() as patch:
        steps = killed_at(0, patch)
        counts = track(tmp_path / "tracks.csv")
    assert len(steps) == 7  # settings, five chunks, the result
    for step in range(1, len(steps) + 1):
        out = tmp_path / str(step) / "tracks.csv"
        with monkeypatch.context() as patch:
            killed_at(step, patch)
            with pytest.raises(Killed):
                track(out)
        assert not out.exists()
        assert track(out) == counts
        assert out.read_bytes() == (tmp_path / "tracks.csv").read_bytes(), step
        assert [path.name for path in out.parent.iterdir()] == ["tracks.csv"]


def test_a_state_of_more_than_32_mib_is_gone_on_with(files, tmp_path, monkeypatch):
    track_movie(files[0], tmp_path / "whole.csv", progress=False)
    out = tmp_path / "tracks.csv"
    with monkeypatch.context() as patch:
        killed_at(3, patch)
        with pytest.raises(Killed):
            track_movie(files[0], out, progress=False)
    with open(tmp_path / ".tracks.csv.partial" / "state.json", "a") as state:
        state.write(" " * 2**25)
    track_movie(files[0], out, progress=False)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_each_frame_is_read_once_a_chunk_at_a_time(files, tmp_path, monkeypatch):
    read, of_job = [], tracks._Job._read

    def noted(self, movie, part):
        read.append((part.start, part.stop))
        return of_job(self, movie, part)

    monkeypatch.setattr(tracks._Job, "_read", noted)
    track_movie(files[0], tmp_path / "tracks.csv", files[1], progress=False)
    assert read == [pair for pair in [(0, 3), (3, 6), (6, 9), (9, 12), (12, 14)] for _ in range(2)]


def test_another_run_in_the_way_is_said_in_one_line(files, tmp_path, monkeypatch):
    out = tmp_path / "tracks.csv"
    with monkeypatch.context() as patch:
        killed_at(3, patch)
        with pytest.raises(Killed):
            track_movie(files[0], out, progress=False)
    with pytest.raises(RunError, match="left of a run with another movie or settings"):
        track_movie(files[0], out, gap=1, progress=False)
    track_movie(files[0], out, gap=1, overwrite=True, progress=False)
    with pytest.raises(RunError, match="exists already"):
        track_movie(files[0], out, progress=False)
    mine = tmp_path / ".other.csv.partial"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="is in the way"):
        track_movie(files[0], tmp_path / "other.csv", overwrite=True, progress=False)
    assert (mine / "thesis.txt").read_text() == "mine"


def test_bad_files_are_refused_in_one_line(made, files, tmp_path):
    short = save(made.image, tmp_path / "short.zspy", 4)
    one = save(made.labels, tmp_path / "one.zspy", 1)
    image = tmp_path / "image.tif"
    tifffile.imwrite(image, made.frame(0)[0])
    for names, reason in [
        ((tmp_path / "none.zspy", tmp_path / "a.csv"), "there is no such file"),
        ((one, tmp_path / "a.csv"), "is one frame, not a movie"),
        ((files[0], tmp_path / "a.csv", short), "name those of one movie"),
        ((files[0], tmp_path / "a.txt"), "ends in .csv"),
        ((files[0], tmp_path / "a.csv", image), "image.tif: is one image, not a movie"),
        ((files[1], tmp_path / "a.csv"), "movie.zspy: frame 0: .* look like grey levels; .* segment MOVIE --particles"),
    ]:
        with pytest.raises(TemlibError, match=reason) as caught:
            track_movie(*names, progress=False)
        assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tif", "one.zspy", "short.zspy"]


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [("--seconds", "0", "seconds=0.0 is out"), ("--chunk", "-3", "chunk=-3 must"), ("--chunk", "0", "chunk=0 must")],
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(files, tmp_path, capsys, option, value, reason):
    assert cli.main(["track", str(files[0]), "--out", str(tmp_path / "a.csv"), option, value]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_command_tracks_and_exports(files, whole, tmp_path, capsys):
    out, folder = tmp_path / "tracks.csv", tmp_path / "01_RES"
    assert (
        cli.main(["track", str(files[0]), "--frames", str(files[1]), "--out", str(out), "--challenge", str(folder)])
        == 0
    )
    assert f"{FRAMES} frames, " in capsys.readouterr().out
    assert out.read_bytes() == whole.read_bytes()
    assert len(list(folder.glob("mask*.tif"))) == FRAMES
    command = ["track", str(files[0]), "--out", str(tmp_path / "b.csv"), "--challenge", str(folder)]
    assert cli.main(command) == 2
    assert "name an empty folder" in capsys.readouterr().err
    assert not (tmp_path / "b.csv").exists()


def test_a_movie_without_particles_is_exported(made, tmp_path):
    path = save(like(made.labels, da.zeros((4, 96, 96), dtype=np.int32), "nothing"), tmp_path / "none.zspy")
    command = ["track", str(path), "--out", str(tmp_path / "a.csv"), "--challenge", str(tmp_path / "out")]
    assert cli.main(command) == 0
    assert (tmp_path / "out" / "res_track.txt").read_text() == ""
    assert [tifffile.imread(file).max() for file in sorted((tmp_path / "out").glob("*.tif"))] == [0] * 4
    table = pd.DataFrame({name: [] for name in ("track", "frame", "event", "partner", "particle")})
    assert len(list(export_tracks(table, np.zeros((4, 9, 9), int), tmp_path / "b").iterdir())) == 5


@pytest.mark.parametrize("there", [False, True])
def test_a_stopped_export_leaves_nothing_and_the_same_command_goes_on(files, tmp_path, monkeypatch, capsys, there):
    out, folder, write, written = tmp_path / "tracks.csv", tmp_path / "01_RES", tifffile.imwrite, []
    command = ["track", str(files[0]), "--out", str(out), "--challenge", str(folder)]
    if there:
        folder.mkdir()

    def stop(*arguments, **options):
        written.append(arguments)
        if len(written) == 3:
            raise KeyboardInterrupt
        write(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(tifffile, "imwrite", stop)
        assert cli.main(command) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {".tracks.csv.partial", *([folder.name] if there else [])}
    with monkeypatch.context() as patch:
        patch.setattr(tracks._Job, "_read", None)  # no frame is tracked again
        assert cli.main(command) == 0
    assert len(list(folder.iterdir())) == FRAMES + 1
    track_movie(files[0], tmp_path / "whole.csv", progress=False)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"tracks.csv", "whole.csv", "01_RES"}


def test_tracks_that_the_format_cannot_number_are_in_the_table(files, tmp_path, monkeypatch):
    monkeypatch.setattr(challenge, "_HIGHEST", 3)
    with pytest.raises(TemlibError, match="more than the format's 3"):
        track_movie(files[0], tmp_path / "tracks.csv", challenge=tmp_path / "out", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["tracks.csv"]


def test_of_a_file_with_several_the_movie_is_taken_that_is_named(tmp_path, monkeypatch, capsys):
    """Three pages of 8 bits may be a picture in colours or a movie: the file offers both."""
    labels = np.zeros((3, 60, 80), np.uint16)
    labels[:, 20:40, 30:50] = 1
    tifffile.imwrite(tmp_path / "labels.tif", labels, photometric="minisblack")
    grey = np.random.default_rng(0).integers(0, 255, labels.shape, np.uint8)
    tifffile.imwrite(tmp_path / "three.tif", grey, photometric="rgb", planarconfig="separate")
    out, frames = tmp_path / "tracks.csv", ["--frames", str(tmp_path / "three.tif")]
    command = ["track", str(tmp_path / "labels.tif"), "--out", str(out)]
    with pytest.warns(UserWarning, match="--signal"):
        assert cli.main([*command, *frames]) == 2
    assert cli.main([*command, "--signal", "1"]) == 2
    assert "name that file, too (--frames)" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        killed_at(2, patch)
        with pytest.raises(Killed):
            cli.main([*command, *frames, "--signal", "1"])
    settings = json.loads((tmp_path / ".tracks.csv.partial" / "settings.json").read_text())
    assert settings["movie"]["signal"] == 1
    assert cli.main(command) == 2
    assert "another movie or settings" in capsys.readouterr().err
    assert cli.main([*command, *frames, "--signal", "1"]) == 0
    assert set(pd.read_csv(out)["track"]) == {1}


def test_a_movie_is_segmented_into_numbered_particles(files, tmp_path):
    out = tmp_path / "particles.zspy"
    command = ["segment", str(files[1]), "--out", str(out), "--particles", "--scale", "1", "--runtime", "keras"]
    assert cli.main(command) == 0
    assert temlib.load_micrograph(out, lazy=True).data.dtype.kind in "iu"
    assert cli.main(["track", str(out), "--out", str(tmp_path / "tracks.csv")]) == 0


def tracked(*rows):
    return pd.DataFrame(rows, columns=["track", "frame", "event", "partner"])


def test_pieces_are_cut_at_gaps_and_where_others_split():
    gap = tracked((1, 0, "", 0), (1, 1, "", 0), (1, 4, "", 0))
    assert lineage(gap)[1] == [(1, 0, 1, 0), (2, 4, 4, 1)]
    split = tracked((1, 0, "", 0), (1, 1, "", 0), (2, 1, "splits from", 1), (2, 2, "", 0))
    numbers, pieces = lineage(split)
    assert pieces == [(1, 0, 0, 0), (2, 1, 1, 1), (3, 1, 2, 1)]
    assert numbers.tolist() == [1, 2, 3, 3]
    late = tracked((7, 0, "", 0), (3, 1, "splits from", 7), (7, 1, "", 0))  # the child stands before its parent
    assert [piece[3] for piece in lineage(late)[1]] == [0, 1, 1]


def test_the_challenge_has_each_track_in_each_of_its_frames(made, tmp_path):
    labels = made.labels.data.compute()
    table = track_particles(labels)
    folder = export_tracks(table, labels, tmp_path / "out")
    lines = np.loadtxt(folder / "res_track.txt", int, ndmin=2)
    drawn = np.stack([tifffile.imread(path) for path in sorted(folder.glob("mask*.tif"))])
    assert drawn.dtype == np.uint16
    assert ((drawn > 0) == (labels > 0)).all()
    shown = [set(np.unique(frame)) - {0} for frame in drawn]
    for number, begin, end, parent in lines:
        assert [frame for frame, some in enumerate(shown) if number in some] == list(range(begin, end + 1))
        assert parent == 0 or lines[parent - 1][2] < begin
    assert set().union(*shown) == set(lines[:, 0])


def test_other_frames_or_too_many_tracks_are_not_exported(made, tmp_path, monkeypatch):
    labels = made.labels.data.compute()
    table = track_particles(labels)
    with pytest.raises(TemlibError, match="other particles"):
        export_tracks(table, np.roll(labels, 1, axis=0), tmp_path / "a")
    monkeypatch.setattr(challenge, "_HIGHEST", 3)
    with pytest.raises(TemlibError, match="more than the format's 3"):
        export_tracks(table, labels, tmp_path / "b")
