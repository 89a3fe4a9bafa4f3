"""The reviewer without a browser: what the front end asks for, files, several micrographs, bad input."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.measure import label

import temlib
from temlib.errors import MicrographError, OutputError, TemlibError
from temlib.files.micrographs import micrograph
from temlib.particles.placing import Found
from temlib.widgets.reviewed import Reviewed
from tests.conftest import disc
from tests.test_review import SHAPE, drawn, image_of


def reviewer_of(folder, **options):
    options = {"particles": drawn()} | options
    return temlib.ParticleReviewer(micrograph(image_of(drawn()), 0.5, "gold"), folder, **options)


def ask(reviewer, do, **values):
    """What the front end does when something is pressed."""
    ask.serial = getattr(ask, "serial", 0) + 1
    reviewer._receive({"do": do, "view": "test", "serial": ask.serial, **values})
    assert reviewer._state["answered"] == ["test", ask.serial]
    return reviewer._state["message"]


def counted(reviewer):
    return reviewer._state["counts"]["counted"]


def test_what_is_asked_for_is_done_and_saved(tmp_path):
    reviewer = reviewer_of(tmp_path)
    assert counted(reviewer) == 5
    for do, values, left in [
        ("turn", {"particles": [1]}, 4),
        ("turn", {"particles": [1]}, 5),
        ("lasso", {"points": [[8, 3], [40, 3], [40, 28], [8, 28]]}, 3),
        ("lasso", {"points": [[8, 3], [40, 3], [40, 28], [8, 28]]}, 5),
        ("split", {"points": [[12, 44.5], [38, 44.5]]}, 6),
        ("merge", {"particles": [3, 7]}, 5),
        ("remove", {"particles": [6]}, 4),
        ("add", {"points": [[70, 24], [78, 24]], "size": 6}, 5),
        ("filter", {"column": "equivalent_diameter_nm", "bounds": [5.5, None], "drag": 1}, 4),
        ("filter", {"column": "equivalent_diameter_nm", "bounds": [8, None], "drag": 1}, 2),
        ("undo", {}, 5),
        ("redo", {}, 2),
    ]:
        assert ask(reviewer, do, **values) == ""
        assert counted(reviewer) == left, do
        again = temlib.apply_review(drawn(), tmp_path / "gold_review.json", image_of(drawn()), pixel_size_nm=0.5)
        assert np.array_equal(again.labels, reviewer.review.labels)
        assert again.table.equals(reviewer.review.table) or np.allclose(again.measured, reviewer.review.measured)
    assert len(reviewer.review.edits) == 9, "one movement of a slider is one edit"
    back = reviewer_of(tmp_path)
    assert counted(back) == 2
    ask(back, "undo")
    assert counted(back) == 5


def test_what_cannot_be_done_is_said_and_changes_nothing(tmp_path):
    reviewer = reviewer_of(tmp_path)
    before = reviewer.review.labels.copy()
    for do, values, reason in [
        ("turn", {"particles": [99]}, "no particle 99"),
        ("split", {"points": [[0, 30], [5, 30]]}, "goes across no particle"),
        ("merge", {"particles": [3]}, "two particles at least"),
        ("add", {"points": [[24, 44]], "size": 2}, "no room"),
        ("add", {"points": [["a", 44]], "size": 2}, "points"),
        ("add seen", {"point": [70, 24]}, "paint the particle"),
        ("filter", {"column": "beauty", "bounds": [1, 2], "drag": 1}, "no number"),
        ("evaluate", {}, "nothing that the reviewer does"),
        ("split", {}, "points"),
    ]:
        assert reason in ask(reviewer, do, **values)
    assert np.array_equal(reviewer.review.labels, before)
    assert not list(tmp_path.iterdir())


class Faint:
    """A segmenter that sees one particle too faintly."""

    def __init__(self, labels, faint):
        self.labels, self.faint = labels, faint

    def find(self, image):
        maps = np.stack([np.where(self.labels > 0, 0.9, np.where(self.faint, 0.3, 0.001)), np.zeros(SHAPE)], -1)
        sure = np.full(self.labels.max(), 0.9)
        return Found(self.labels, sure, np.zeros(0), np.zeros(0), 0.5), maps


def test_a_click_adds_what_the_network_saw_too_faintly(tmp_path):
    faint = disc(SHAPE, (24, 72), 5)
    reviewer = reviewer_of(tmp_path, particles=None, segmenter=Faint(drawn(), faint))
    assert reviewer._state["sees"]
    assert ask(reviewer, "add seen", point=[72.5, 24.5]) == ""
    assert np.array_equal(reviewer.review.labels == 7, faint)
    assert "saw nothing there" in ask(reviewer, "add seen", point=[72.5, 50.5])
    assert "confidence" in reviewer.table


def test_an_adapted_segmenter_finds_its_decisions_again(tmp_path):
    reviewer_of(tmp_path).take_out([1, 6])
    wider = drawn((7, 9, 10, 7, 6, 2))
    reviewer = reviewer_of(tmp_path, particles=wider)
    assert reviewer._state["message"] == "Particles were found anew: decisions about 1 of 2 are known by overlap."
    assert reviewer.table["why"].tolist()[0] == "left out by hand"


def test_several_micrographs_make_one_table_and_one_distribution(tmp_path):
    images = [micrograph(image_of(drawn()), 0.5, name) for name in ("gold", "silver")]
    reviewer = temlib.ParticleReviewer(images, tmp_path, particles=[drawn(), drawn()])
    reviewer.take_out([1, 2])
    ask(reviewer, "go", step=1)
    assert reviewer._state["name"] == "silver"
    reviewer.filter("equivalent_diameter_nm", 5)
    table = reviewer.table
    assert table.groupby("micrograph")["left_out"].sum().to_dict() == {"gold": 3, "silver": 2}
    assert reviewer.distribution.n == 3 + 4
    assert [len(np.unique(each.data)) - 1 for each in reviewer.particles] == [4, 5]
    assert len(reviewer.images) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"gold_review.json", "silver_review.json"}
    images[1] = image_of(drawn())
    mixed = temlib.ParticleReviewer(images, tmp_path / "mixed", particles=[drawn(), drawn()])
    with pytest.raises(TemlibError, match="no population"):
        _ = mixed.distribution


def test_the_empty_and_the_unreadable_among_many_stop_nobody(tmp_path):
    images = [micrograph(image_of(drawn()), 0.5, name) for name in ("blank", "gold", "odd")]
    particles = [np.zeros(SHAPE, int), drawn(), np.ones((9, 9), int)]
    reviewer = temlib.ParticleReviewer(images, tmp_path, particles=particles)
    assert reviewer._state["name"] == "gold"
    said = ask(reviewer, "go", step=1)
    assert "odd is passed over: odd: particles have shape (9, 9)" in said
    assert said.endswith("No particles were found here; add some by painting.")
    assert reviewer._state["name"] == "blank"
    assert reviewer._state["counts"]["found"] == 0
    assert ask(reviewer, "add", points=[[20, 20], [28, 20]], size=8) == ""
    assert counted(reviewer) == 1
    assert reviewer._rows["columns"][0] == "equivalent_diameter_nm"
    assert np.frombuffer(reviewer._rows["values"], np.float32)[0] == pytest.approx(6, abs=1)
    with pytest.warns(UserWarning, match="odd is passed over"):
        assert reviewer.table.groupby("micrograph").size().to_dict() == {"blank": 1, "gold": 6}
    assert "passed over" in ask(reviewer, "go", step=-1)
    assert reviewer._state["name"] == "gold"
    again = temlib.ParticleReviewer(images[0], tmp_path, particles=particles[0])
    assert counted(again) == 1, "what was added comes back where nothing is found"


def numbers_in(png):
    """What the front end makes of a picture."""
    channels = np.asarray(Image.open(io.BytesIO(png))).astype(np.int32)
    return channels @ [1, 256, 65536]


def test_the_front_end_is_told_what_changes_and_has_it_all(tmp_path):
    labels = np.where(drawn() > 0, drawn() + 70_000, 0)
    reviewer = reviewer_of(tmp_path, particles=labels)
    has = numbers_in(reviewer._whole()["png"])
    version, patches = reviewer._whole()["version"], []
    assert np.array_equal(has, labels)
    reviewer.observe(lambda change: patches.append(change["new"]), "_patch")
    ask(reviewer, "turn", particles=[70_001])
    assert not patches, "no pixel has changed"
    for do, values in [
        ("split", {"points": [[12, 44.5], [38, 44.5]]}),
        ("remove", {"particles": [70_006]}),
        ("add", {"points": [[70, 24], [78, 24]], "size": 6}),
        ("undo", {}),
        ("undo", {}),
        ("redo", {}),
        ("merge", {"particles": [70_001, 70_004]}),
    ]:
        assert ask(reviewer, do, **values) == ""
        patch = patches.pop()
        assert not patches
        assert (patch["from"], patch["to"]) == (version, version + 1)
        version += 1
        part, (top, left) = numbers_in(patch["png"]), patch["place"]
        has[top : top + part.shape[0], left : left + part.shape[1]] = part
        assert np.array_equal(has, reviewer.review.labels), do
    assert np.array_equal(numbers_in(reviewer._whole()["png"]), has), "for a page that is opened again"
    ask(reviewer, "all")
    assert reviewer._labels > version
    boxes = np.frombuffer(reviewer._rows["boxes"], np.int32).reshape(-1, 4)
    for number, (top, left, bottom, right) in zip(sorted(reviewer.review.boxes), boxes, strict=True):
        assert np.count_nonzero(has[top:bottom, left:right] == number) == np.count_nonzero(has == number)
    for name in ("why", "by_hand"):
        told = reviewer._state[name]
        assert [told["words"][place] for place in told["of"]] == reviewer.review.table[name].tolist()
    assert [*reviewer._state["fates"]] == [*reviewer.review.fates.values()]


def test_what_was_seen_faintly_is_whole_however_far_it_reaches():
    y, x = np.mgrid[:700, :900]
    probability = np.where((np.abs(y - 350 - 250 * np.sin(x / 120)) < 5) & (x > 3) & (x < 890), 0.2, 0.0)
    labels = np.where((x - 700) ** 2 + (y - 400) ** 2 < 900, 1, 0)
    start = (10, int(np.flatnonzero(probability[:, 10])[0]))
    seen = Reviewed.seen_in(probability, labels, start[0] + 0.5, start[1] + 0.5)
    pieces = label((probability > 0.1) & (labels == 0), connectivity=1)
    assert np.array_equal(seen, pieces == pieces[start[1], start[0]])


EDITING = """
import sys
from tests.test_reviewer import drawn, reviewer_of

reviewer = reviewer_of(sys.argv[1])
for turn in range(10**6):
    reviewer.take_out([1 + turn % 6])
    print(turn + 1, flush=True)
"""


def test_nothing_is_lost_when_the_kernel_dies_in_mid_edit(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", EDITING, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as kernel:
        done = [int(kernel.stdout.readline()) for _ in range(7)][-1]
        kernel.kill()
        done = max([done, *(int(line) for line in kernel.stdout.read().split("\n")[:-1])])
    back = reviewer_of(tmp_path)
    assert len(back.review.edits) in (done, done + 1), "what was said to be done is there, and no half of the next"
    assert counted(back) == 0
    back.take_back([1])
    assert counted(reviewer_of(tmp_path)) == 1, "nothing that the dead one left is in the way"


def test_a_segmenter_learns_from_what_was_reviewed(tmp_path, monkeypatch):
    """That it is taught what is left; how it learns is tested elsewhere."""
    taught = []
    monkeypatch.setattr("temlib.network.learning.teach", lambda team, maps, truth, *rest, **more: taught.append(truth))
    reviewer = reviewer_of(tmp_path, particles=drawn())
    reviewer.remove([1, 2, 4, 5, 6])
    reviewer.split([[12, 44.5], [38, 44.5]])
    assert set(np.unique(reviewer.particles[0].data)) == {0, 3, 7}
    segmenter = temlib.load_segmenter()
    for left in (1, 0):
        segmenter.adapt(reviewer.images, reviewer.particles, window=64, views=2, epochs=1, progress=False)
        (truth,) = taught
        assert len(truth) == 2
        assert (truth[..., 0] > 0).any() == bool(left)
        taught.clear()
        reviewer.take_out([3, 7])


def test_what_another_reviewer_wrote_is_not_replaced(tmp_path):
    one, other = reviewer_of(tmp_path), reviewer_of(tmp_path)
    one.take_out([1])
    assert "another reviewer" in ask(other, "turn", particles=[2])
    with pytest.raises(OutputError, match="another reviewer"):
        other.take_out([3])
    other.reload()
    assert [edit.particles for edit in other.review.edits] == [(1,)]
    other.take_out([3])
    one.save(overwrite=True)
    assert len(json.loads((tmp_path / "gold_review.json").read_text())["edits"]) == 1


def test_a_picture_stands_in_where_nobody_can_click(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMLIB_WIDGETS", "0")
    reviewer = reviewer_of(tmp_path)
    reviewer.take_out([1])
    shown = reviewer._repr_mimebundle_()
    assert shown["text/plain"] == "ParticleReviewer: gold, 4 counted of 6 found"
    assert shown["image/png"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"particles": np.zeros(SHAPE, int)}, "there are no particles"),
        ({"particles": np.ones((9, 9), int)}, "shape"),
        ({"particles": np.ones(SHAPE)}, "whole numbers"),
        ({"particles": [drawn(), drawn()]}, "2 micrographs for 1"),
        ({"particles": None, "segmenter": lambda image: np.zeros(SHAPE, bool)}, "there are no particles"),
    ],
)
def test_bad_input_is_one_line(tmp_path, options, reason):
    with pytest.raises(ValueError, match=reason) as error:
        reviewer_of(tmp_path, **options)
    assert "\n" not in str(error.value)


def test_files_of_others_are_refused_in_one_line(tmp_path):
    reviewer_of(tmp_path).take_out([1])
    path = tmp_path / "gold_review.json"
    other = micrograph(255 - image_of(drawn()), 0.5, "gold")
    with pytest.raises(MicrographError, match="of another micrograph"):
        temlib.ParticleReviewer(other, tmp_path, particles=drawn())
    path.write_text("{}")
    with pytest.raises(MicrographError, match="cannot be taken up again"):
        reviewer_of(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line_and_nothing_is_lost(tmp_path):
    (tmp_path / "file").write_text("")
    reviewer = reviewer_of(tmp_path / "file" / "reviewed")
    said = ask(reviewer, "turn", particles=[1])
    assert "cannot be written" in said
    assert "\n" not in said
    assert counted(reviewer) == 4, "what was done is there still, to be saved elsewhere"
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        assert "cannot be written" in ask(reviewer_of(tmp_path / "locked"), "turn", particles=[1])


def test_a_filter_that_comes_late_is_of_the_micrograph_that_was_shown(tmp_path):
    images = [image_of(drawn()), image_of(drawn())]
    reviewer = temlib.ParticleReviewer(images, tmp_path, particles=[drawn(), drawn()])
    ask(reviewer, "go", step=1)
    assert ask(reviewer, "filter", column="equivalent_diameter_px", bounds=[14, None], drag=1, index=0) == ""
    assert [len(review.filters) for review in reviewer.reviews.values()] == [1, 0]
    assert (reviewer._state["index"], counted(reviewer)) == (1, 5)
