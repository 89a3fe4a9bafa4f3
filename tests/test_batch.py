import json
import pickle
import traceback
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from skimage.measure import label

import temlib
from temlib import cli
from temlib.errors import MicrographError, RunError
from temlib.files.grey_levels import GreyLevels
from temlib.files.labels.label_files import load_labels
from temlib.files.micrographs import micrograph
from temlib.jobs import batch, looking
from temlib.network.finding import find_in
from temlib.network.sought import Sought
from tests.conftest import disc

CENTRES = [(30, 30), (70, 90), (30, 120)]


class Threshold:
    """A segmenter that takes for particles what is dark."""

    threshold, trust, levels, pixel_size_nm, runtime = 0.5, None, GreyLevels(), None, "keras"
    sought = Sought()

    def looking_for(self, *told):
        other = type(self)()
        other.sought = self.sought.or_else(*told)
        return other

    def with_confidence(self, least):
        return self

    class model:  # noqa: N801
        @staticmethod
        def get_weights():
            return [np.zeros(3)]

    def maps(self, image, scale="auto"):
        dark = np.asarray(image.data) < 0.5
        return np.stack([dark, dark], axis=-1).astype(np.float32)

    def find(self, image, scale="auto"):
        maps, sought = self.maps(image, scale), self.sought.on(image)
        found = replace(find_in(maps, self.threshold), contrast=None if sought.contrast == "auto" else sought.contrast)
        return found.kept(sought.keep(found.labels)).without(sought.marks_in(image)), maps

    def expected_iou(self, probability):
        return 0.25

    def warning(self, maps):
        return "expect an IoU of 0.25 only"


@pytest.fixture
def folder(tmp_path):
    image = np.ones((100, 150), np.float32)
    for centre in CENTRES:
        image[disc(image.shape, centre, 12)] = 0
    temlib.save_micrograph(micrograph(image, 0.5), tmp_path / "in" / "a.tif")
    temlib.save_micrograph(micrograph(image), tmp_path / "in" / "b.hspy")
    (tmp_path / "in" / "notes.txt").write_text("no micrograph")
    return tmp_path


def test_each_micrograph_gets_mask_labels_table_and_overlay(folder):
    done = batch.segment_files(batch.files_in([folder / "in"]), folder / "out", Threshold(), progress=False)
    assert list(done.micrographs["particles"]) == [3, 3]
    assert not done.failed
    mask = np.asarray(Image.open(folder / "out" / "a_mask.png"))
    assert set(np.unique(mask)) == {0, 255}
    labels = load_labels(folder / "out" / "a_labels.tif")
    np.testing.assert_array_equal(labels > 0, mask > 0)
    assert temlib.pixel_size_of(temlib.load_micrograph(folder / "out" / "a_labels.tif")) == pytest.approx((0.5, 0.5))
    table = pd.read_csv(folder / "out" / "a_particles.csv")
    np.testing.assert_allclose(table["equivalent_diameter_nm"], 12, rtol=0.02)
    assert "equivalent_diameter_px" in pd.read_csv(folder / "out" / "b_particles.csv")
    picture = np.asarray(Image.open(folder / "out" / "a_overlay.png")).astype(int)
    coloured = np.ptp(picture, axis=-1) > 50
    assert label(coloured).max() == 3
    assert not (coloured & (mask == 0)).any()
    assert len(pd.read_csv(folder / "out" / "particles.csv")) == 6
    record = json.loads((folder / "out" / "a_report.json").read_text())
    assert record["pixel_size_source"] == "file"
    assert list(pd.read_csv(folder / "out" / "distribution.csv")["micrograph"].unique()) == ["a", "b"]  # nm and px


def test_particles_of_a_batch_have_one_distribution(folder):
    done = batch.segment_files(
        [folder / "in" / "b.hspy"], folder / "out", Threshold(), pixel_size_nm=2.0, progress=False
    )
    table = pd.read_csv(folder / "out" / "distribution.csv", index_col="statistic")
    assert table.loc["median", "value"] == pytest.approx(done.particles["equivalent_diameter_nm"].median(), rel=1e-5)
    assert json.loads((folder / "out" / "b_report.json").read_text())["pixel_size_source"] == "given"


def test_an_empty_picture_without_a_pixel_size_is_pooled_with_calibrated_ones(folder):
    temlib.save_micrograph(micrograph(np.ones((100, 150), np.float32)), folder / "in" / "0_blank.hspy")
    files = [folder / "in" / name for name in ("0_blank.hspy", "a.tif")]
    done = batch.segment_files(files, folder / "out", Threshold(), progress=False)
    assert list(done.micrographs["particles"]) == [0, 3]
    table = pd.read_csv(folder / "out" / "distribution.csv", index_col="statistic")
    assert table.loc["median", "unit"] == "nm"
    assert table.loc["median", "value"] == pytest.approx(12.3, abs=0.5)


def test_nothing_is_left_of_the_only_file_when_it_cannot_be_read_any_more(folder):
    file = folder / "in" / "b.hspy"
    batch.segment_files([file], folder / "out", Threshold(), progress=False)
    file.write_bytes(b"no micrograph any more")
    done = batch.segment_files([file], folder / "out", Threshold(), progress=False)
    assert list(done.failed) == [str(file)]
    assert not (folder / "out" / "particles.csv").exists()
    assert not (folder / "out" / "distribution.csv").exists()
    assert pd.read_csv(folder / "out" / "micrographs.csv").empty


def test_a_second_run_does_what_is_new_alone(folder, monkeypatch):
    files = batch.files_in([folder / "in" / "a.tif"])
    batch.segment_files(files, folder / "out", Threshold(), progress=False)
    before = (folder / "out" / "a_mask.png").stat().st_mtime_ns
    again = batch.segment_files(batch.files_in([folder / "in"]), folder / "out", Threshold(), progress=False)
    assert again.skipped == 1
    assert (folder / "out" / "a_mask.png").stat().st_mtime_ns == before
    assert list(again.micrographs["micrograph"]) == ["a", "b"]
    batch.segment_files(files, folder / "out", Threshold(), progress=False, overwrite=True)
    assert (folder / "out" / "a_mask.png").stat().st_mtime_ns > before


def test_results_of_other_settings_are_not_mixed(folder):
    files = batch.files_in([folder / "in" / "a.tif"])
    batch.segment_files(files, folder / "out", Threshold(), progress=False)
    with pytest.raises(temlib.TemlibError, match="other settings"):
        batch.segment_files(files, folder / "out", Threshold(), scale=2.0, progress=False)
    assert json.loads((folder / "out" / "settings.json").read_text())["scale"] == "auto"
    other = [folder / "in" / "b.hspy"]
    anew = batch.segment_files(other, folder / "out", Threshold(), scale=2.0, progress=False, overwrite=True)
    assert list(anew.micrographs["micrograph"]) == ["b"]


def test_files_of_one_name_are_told_apart_or_refused(folder):
    (folder / "in" / "a.png").write_bytes(b"")
    (folder / "other").mkdir()
    (folder / "other" / "a.tif").write_bytes(b"")
    done = batch.segment_files(
        [folder / "in" / "a.tif", folder / "in" / "a.png"], folder / "out", Threshold(), progress=False
    )
    assert list(done.micrographs["micrograph"]) == ["a_tif"]
    with pytest.raises(temlib.TemlibError, match="have one name"):
        batch.segment_files([folder / "in" / "a.tif", folder / "other" / "a.tif"], folder / "out2", Threshold())
    (folder / "empty").mkdir()
    with pytest.raises(temlib.TemlibError, match="no files there"):
        batch.files_in([folder / "empty"])


def test_the_command_says_what_it_did_and_fails_when_a_file_does(folder, monkeypatch, capsys):
    monkeypatch.setattr("temlib.network.segmenter.load_segmenter", lambda path, runtime: Threshold())
    command = ["segment", str(folder / "in"), "--out", str(folder / "out")]
    assert cli.main(command) == 0
    said = capsys.readouterr()
    assert "2 segmented, 0 done before, 0 failed" in said.out
    assert f"{folder / 'in'}: left alone 1 of kind .txt" in said.err
    assert "a.tif: doubtful, expect an IoU of 0.25" in said.err
    assert cli.main(["segment", str(folder / "in" / "notes.txt"), *command[1:]]) == 1
    said = capsys.readouterr()
    assert "0 segmented, 2 done before, 1 failed" in said.out
    assert "temlib: notes.txt: files of type '.txt' are not read" in said.err


def test_of_a_file_with_several_images_the_command_takes_the_one_that_is_named(folder, monkeypatch, capsys):
    """Three pages of 8 bits may be a picture in colours or a movie: the file offers both."""
    monkeypatch.setattr("temlib.network.segmenter.load_segmenter", lambda path, runtime: Threshold())
    frames = np.zeros((3, 100, 150), np.uint8)
    frames[:, :, 75:] = 200
    file, out = folder / "three.tif", folder / "out"
    tifffile.imwrite(file, frames, photometric="rgb", planarconfig="separate")
    assert cli.main(["segment", str(file), "--out", str(out)]) == 0
    assert "pass signal= (--signal) for another" in capsys.readouterr().err
    assert cli.main(["segment", str(file), "--out", str(out), "--signal", "0"]) == 2
    assert "other settings" in capsys.readouterr().err
    assert cli.main(["segment", str(file), "--out", str(out), "--signal", "0", "--overwrite"]) == 0
    assert "--signal" not in capsys.readouterr().err
    assert json.loads((out / "settings.json").read_text())["signal"] == 0
    assert cli.main(["segment", str(file), "--out", str(out), "--signal", "1", "--overwrite"]) == 1
    assert "three.tif: is a movie" in capsys.readouterr().err
    assert cli.main(["segment", str(file), "--out", str(out), "--signal", "BF", "--overwrite"]) == 1
    assert "has no signal 'BF'" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "bmp", "tif", "tiff"])
def test_pictures_are_segmented_by_the_command(folder, capsys, monkeypatch, suffix):
    monkeypatch.setattr("temlib.network.segmenter.load_segmenter", lambda model, runtime: Threshold())
    grey = np.full((100, 150), 230, np.uint8)
    for centre in CENTRES:
        grey[disc(grey.shape, centre, 12)] = 0
    (folder / "pictures").mkdir()
    Image.fromarray(grey).save(folder / "pictures" / f"a.{suffix}")
    monkeypatch.setattr(
        Threshold, "maps", lambda self, image, scale: np.repeat((image.data < 115)[..., None], 2, -1) * np.float32(1)
    )
    assert cli.main(["segment", str(folder / "pictures"), "--out", str(folder / "out")]) == 0
    assert "1 segmented, 0 done before, 0 failed" in capsys.readouterr().out
    assert list(pd.read_csv(folder / "out" / "micrographs.csv")["particles"]) == [3]


def test_a_movie_among_micrographs_is_told_where_to_go_and_not_read(folder, monkeypatch):
    read = temlib.files.micrographs.read_signals

    def only_lazily(path, reader, lazy):
        assert lazy
        return read(path, reader, lazy)

    monkeypatch.setattr("temlib.files.micrographs.read_signals", only_lazily)
    movie = micrograph(np.zeros((3, 20, 30), np.float32), 0.5, navigation=[{"name": "time"}])
    temlib.save_micrograph(movie, folder / "in" / "c.hspy")
    done = batch.segment_files([folder / "in" / "c.hspy"], folder / "out", Threshold(), progress=False)
    (reason,) = done.failed.values()
    assert "c.hspy: is a movie; segment it by itself, with --out NAME.zspy" in reason


def test_other_grey_levels_are_other_settings(folder):
    segmenter = Threshold()
    batch.segment_files([folder / "in" / "a.tif"], folder / "out", segmenter, progress=False)
    segmenter.levels = GreyLevels(5, 95)
    with pytest.raises(temlib.TemlibError, match="another network or other settings"):
        batch.segment_files([folder / "in" / "a.tif"], folder / "out", segmenter, progress=False)


def test_workers_write_the_same_bytes_in_the_same_order(folder):
    (folder / "in" / "broken.tif").write_bytes(b"no picture")
    files = batch.files_in([folder / "in"])
    segmenter = temlib.load_segmenter("synthetic")
    results = {}
    for workers in (1, 2):
        done = batch.segment_files(files, folder / f"out{workers}", segmenter, workers=workers, progress=False)
        assert list(done.failed) == [str(folder / "in" / "broken.tif")]
        assert "broken.tif" in next(iter(done.tracebacks.values()))
        written = (folder / f"out{workers}").iterdir()
        results[workers] = {
            path.name: path.read_bytes() for path in written if path.suffix in (".csv", ".tif", ".json")
        }
        results[workers] |= {"reason": next(iter(done.failed.values()))}
    assert len(results[1]) > 6
    assert results[1] == results[2]


def test_no_workers_are_an_error(folder):
    with pytest.raises(RunError, match="workers=0 must be at least 1"):
        batch.segment_files([folder / "in" / "a.tif"], folder / "out", Threshold(), workers=0)


class ForeignError(Exception):
    """Of a library whose errors cannot be sent to another process."""

    def __init__(self, file, line):
        super().__init__(f"{file}, line {line}")


def test_an_error_that_cannot_be_sent_says_what_it_said():
    for error in (ForeignError("a.tif", 3), MicrographError("a.tif: is none"), ValueError("no number")):
        try:
            raise error
        except Exception as caught:
            there = pickle.loads(pickle.dumps(looking._for_the_way(caught)))
        assert str(error) in str(there)
        assert "raise error" in "".join(traceback.format_exception(there))
    assert type(there) is ValueError
