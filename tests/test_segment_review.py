"""``temlib segment --review``: decisions are applied to a folder of micrographs, and said in its tables and reports."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import temlib
from temlib import cli
from temlib.errors import MicrographError
from temlib.files.labels.label_files import load_labels
from temlib.files.micrographs import micrograph
from temlib.jobs import batch
from temlib.network.finding import find_in
from temlib.particles.review import Review
from tests.conftest import disc
from tests.test_batch import Threshold, folder  # noqa: F401


def found_in(image):
    return find_in(Threshold().maps(image), Threshold.threshold)


@pytest.fixture
def reviewed(folder):  # noqa: F811
    """A folder whose first micrograph was looked at."""
    image = temlib.load_micrograph(folder / "in" / "a.tif")
    review = Review(found_in(image), image)
    review.split([[76, 70.5], [105, 70.5]])
    review.take_out([1])
    review.filter("equivalent_diameter_nm", 11)
    review.save(folder / "reviewed" / "a_review.json")
    return folder


def run(folder, **options):  # noqa: F811
    files = batch.files_in([folder / "in"])
    return batch.segment_files(files, folder / "out", Threshold(), progress=False, **options)


def test_decisions_are_applied_and_said_in_tables_and_reports(reviewed):
    done = run(reviewed, review=reviewed / "reviewed")
    assert not done.failed
    assert done.micrographs["particles"].tolist() == [1, 3]
    said = done.micrographs["review"].tolist()
    assert said == [
        "3 found; 2 with equivalent_diameter_nm below 11; by hand 1 taken out, 1 more by splitting; 1 counted, "
        "0 cut by the frame",
        "",
    ]
    labels = load_labels(reviewed / "out" / "a_labels.tif")
    assert len(np.unique(labels[labels > 0])) == 1
    assert len(pd.read_csv(reviewed / "out" / "a_particles.csv")) == 1
    image = temlib.load_micrograph(reviewed / "in" / "a.tif")
    review = Review(found_in(image), image)
    review.take_out([1])
    review.save(reviewed / "reviewed" / "a_review.json")
    again = run(reviewed, review=reviewed / "reviewed")
    assert again.skipped == 1, "only what was looked at anew is done again"
    assert any("decisions about its particles have changed" in note for note in again.notes)
    assert again.micrographs["particles"].tolist() == [2, 3]
    record = json.loads((reviewed / "out" / "a_report.json").read_text())
    assert record["review"]["taken_out"] == 1
    assert record["particles"] == {"found": 3, "counted": 2, "left_out": 1}
    assert "left out by hand (1 particles)" in record["exclusions"]
    assert (reviewed / "out" / "a_report.png").stat().st_size > 10_000
    assert run(reviewed, review=reviewed / "reviewed").skipped == 2


def test_what_was_added_by_hand_is_there_where_nothing_is_found_now(reviewed):
    blank = np.ones((100, 150), np.float32)
    temlib.save_micrograph(micrograph(blank, 0.5), reviewed / "in" / "c.tif")
    image = temlib.load_micrograph(reviewed / "in" / "c.tif")
    review = Review(np.where(disc(blank.shape, (80, 20), 9), 1, 0), image)  # of a segmenter that saw one
    review.add(disc(blank.shape, (40, 40), 10))
    review.add(disc(blank.shape, (40, 100), 14))
    review.filter("equivalent_diameter_nm", 11)
    review.save(reviewed / "reviewed" / "c_review.json")
    review.take_out([1])
    review.save(reviewed / "reviewed" / "b_review.json")
    done = run(reviewed, review=reviewed / "reviewed")
    assert list(done.failed) == [str(reviewed / "in" / "b.hspy")], "those decisions are of another micrograph"
    row = done.micrographs.set_index("micrograph").loc["c"]
    assert row["particles"] == 1
    assert row["review"] == (
        "0 found; 1 with equivalent_diameter_nm below 11; by hand 2 added; decisions about 2 of 2 known by overlap; "
        "1 counted, 0 cut by the frame"
    )
    labels = load_labels(reviewed / "out" / "c_labels.tif")
    assert np.array_equal(labels > 0, disc(blank.shape, (40, 100), 14))
    mask = np.asarray(Image.open(reviewed / "out" / "c_mask.png")) > 0
    assert np.array_equal(mask, labels > 0)
    (particle,) = pd.read_csv(reviewed / "out" / "c_particles.csv").itertuples()
    assert particle.by_hand == "added"


def test_decisions_of_another_micrograph_fail_in_one_line_and_stop_nothing(reviewed):
    path = reviewed / "reviewed" / "a_review.json"
    record = json.loads(path.read_text()) | {"sha256": "0" * 64}
    path.write_text(json.dumps(record))
    (reviewed / "reviewed" / "zinc_review.json").write_text("{}")
    done = run(reviewed, review=reviewed / "reviewed")
    (reason,) = done.failed.values()
    assert "of another micrograph" in reason
    assert "\n" not in reason
    assert done.micrographs["micrograph"].tolist() == ["b"]
    assert any("zinc_review.json: belongs to none of these" in note for note in done.notes)


def test_a_folder_without_decisions_is_refused(folder, monkeypatch, capsys):  # noqa: F811
    with pytest.raises(MicrographError, match="there is no such folder"):
        run(folder, review=folder / "nowhere")
    monkeypatch.setattr("temlib.network.segmenter.load_segmenter", lambda *_: Threshold())
    arguments = ["segment", str(folder / "in"), "--out", str(folder / "out"), "--review", str(folder / "in")]
    assert cli.main(arguments) == 2
    assert "there are no decisions in it" in capsys.readouterr().err
