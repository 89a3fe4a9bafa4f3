"""The label painter without a browser: strokes, undo, files, what the classifier makes of it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import temlib
from temlib.errors import MicrographError, TemlibError
from temlib.files.micrographs import micrograph
from temlib.files.scale_bars.scale_bar import ScaleBar
from temlib.particles.scores import iou
from temlib.pixel_classifier import annotator_strokes
from temlib.widgets.front_end import sources_of
from temlib.widgets.painting import FILES
from temlib.widgets.strokes import Stroke, draw, rasterise
from tests.conftest import disc

SHAPE = (40, 60)
POINT = st.tuples(st.floats(-20, 80), st.floats(-20, 80))
STROKE = st.builds(
    Stroke,
    st.sampled_from(["particle", "background", "erase"]),
    st.floats(1, 30),
    st.lists(POINT, min_size=1, max_size=5).map(tuple),
)


@pytest.fixture
def two(dark_discs):
    """Two micrographs and their masks."""
    images, masks = dark_discs
    return images[:2], masks[:2]


def scribble(painter, mask, seed=0):
    for kind, points in annotator_strokes(mask.astype(int), seed):
        painter.paint(kind, points)


def ask(painter, do, **values):
    """What the front end does when a button is pressed."""
    ask.serial = getattr(ask, "serial", 0) + 1
    painter._receive({"do": do, "view": "test", "serial": ask.serial, **values})
    assert painter._state["answered"] == ["test", ask.serial]
    return painter._state["message"]


def test_a_dot_is_a_disc_and_a_line_a_capsule():
    dot = rasterise([Stroke("particle", 20, ((30, 20),))], SHAPE) == 2
    assert np.array_equal(dot, disc(SHAPE, (19.5, 29.5), 10))
    line = rasterise([Stroke("particle", 10, ((15, 20), (45, 20)))], SHAPE) == 2
    assert line.sum() == pytest.approx(30 * 10 + np.pi * 25, rel=0.02)


@given(st.floats(0, 59.99), st.floats(0, 39.99))
def test_the_thinnest_brush_marks_the_pixel_under_it(x, y):
    marks = rasterise([Stroke("background", 1, ((x, y),))], SHAPE)
    assert marks[int(y), int(x)] == 1
    assert 1 <= (marks > 0).sum() <= 4


@settings(deadline=None)
@given(st.lists(STROKE, max_size=6))
def test_strokes_drawn_one_by_one_are_the_strokes_drawn_at_once(strokes):
    marks = np.zeros(SHAPE, np.uint8)
    for stroke in strokes:
        draw(marks, stroke)
        assert set(np.unique(marks)) <= {0, 1, 2}
    assert np.array_equal(marks, rasterise(strokes, SHAPE))
    erased = Stroke("erase", 300, ((30, 20),))
    assert not rasterise([*strokes, erased], SHAPE).any()


@pytest.mark.parametrize(
    ("kind", "size", "points", "reason"),
    [
        ("gold", 3, [[1, 1]], "must be one of particle"),
        ("particle", 0, [[1, 1]], "between 0 and 500"),
        ("particle", True, [[1, 1]], "between 0 and 500"),
        ("particle", "3", [[1, 1]], "between 0 and 500"),
        ("particle", 3, [], "points"),
        ("particle", 3, np.empty((0, 2)), "points"),
        ("particle", 3, [[1, np.nan]], "points"),
        ("particle", 3, [[1, 2], [3]], "points"),
        ("particle", 3, {"x": 1}, "points"),
    ],
)
def test_strokes_that_are_none_are_refused(kind, size, points, reason):
    with pytest.raises(ValueError, match=reason):
        Stroke.checked(kind, size, points)


def test_a_classifier_learns_from_the_strokes_and_keeps_them(two, tmp_path):
    images, masks = two
    painter = temlib.LabelPainter(images, tmp_path)
    painter.paint("particle", [[40, 30]])
    assert painter.label.sum() == (painter.painting.marks == 2).sum(), "one class is no lesson"
    scribble(painter, masks[0])
    assert iou(painter.label, masks[0]) > 0.8
    wrong = (5.0, 90.0)
    painter.paint("particle", [wrong], size=4)
    assert painter.label[89:91, 4:6].all()
    painter.paint("background", [[40, 30]], size=6)
    assert not painter.label[29:32, 39:42].any()


def test_the_next_micrograph_is_labelled_by_what_was_learned_on_the_first(two, tmp_path):
    images, masks = two
    painter = temlib.LabelPainter(images, tmp_path)
    scribble(painter, masks[0])
    ask(painter, "go", step=1)
    assert painter._state["index"] == 1
    assert iou(painter.label, masks[1]) > 0.8
    ask(painter, "go", step=1)
    assert painter._state["index"] == 0


def test_undo_and_redo_go_back_and_forth(two, tmp_path):
    painter = temlib.LabelPainter(two[0][0], tmp_path)
    states = [painter.painting.marks.copy()]
    for kind, x in (("particle", 20), ("background", 40), ("erase", 21)):
        painter.paint(kind, [[x, 30], [x + 8, 34]], size=6)
        states.append(painter.painting.marks.copy())
    for state in states[-2::-1]:
        ask(painter, "undo")
        assert np.array_equal(painter.painting.marks, state)
    ask(painter, "undo")
    for state in states[1:]:
        ask(painter, "redo")
        assert np.array_equal(painter.painting.marks, state)
    ask(painter, "undo")
    painter.paint("particle", [[5, 5]])
    assert not painter.painting.undone, "a new stroke leaves nothing to redo"


def test_everything_is_there_again(two, tmp_path):
    images, masks = two
    first = temlib.LabelPainter(images, tmp_path)
    scribble(first, masks[0])
    ask(first, "undo")
    assert ask(first, "scale bar", points=[[10, 90], [60, 90]], length_nm=100) == ""
    label = first.label
    again = temlib.LabelPainter(images, tmp_path)
    assert again.painting.strokes == first.painting.strokes
    assert again.painting.undone == first.painting.undone
    assert np.array_equal(again.painting.marks, first.painting.marks)
    assert np.array_equal(again.label, label)
    assert temlib.pixel_size_of(again.painting.image) == (2, 2)
    drawn = temlib.load_labels(first.painting.path("_scribbles.png"))
    assert np.array_equal(drawn, first.painting.marks)
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith(FILES)], "nothing temporary is left"


def test_what_another_painter_wrote_is_not_overwritten(two, tmp_path):
    """Two tabs, or two people, on one folder; both ways out."""
    images, masks = two
    first, second = (temlib.LabelPainter(images, tmp_path) for _ in "12")
    scribble(first, masks[0])
    first.accept()
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for do, values in (
        ("stroke", {"kind": "background", "points": [[5, 5]], "size": 3}),
        ("undo", {}),
        ("accept", {}),
        ("withdraw", {}),
        ("learn", {}),
        ("scale bar", {"points": [[1, 1], [9, 9]], "length_nm": 5}),
    ):
        message = ask(second, do, **values)
        assert "has changed since it was read" in message
        assert "painter.reload()" in message
        assert "painter.save(overwrite=True)" in message
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
    second.reload()
    assert second.painting.strokes == first.painting.strokes
    assert second.painting.accepted
    second.paint("background", [[5, 5]])
    with pytest.raises(TemlibError, match="has changed since it was read"):
        first.paint("particle", [[8, 8]])
    first.save(overwrite=True)
    again = temlib.LabelPainter(images, tmp_path)
    again.show(0)
    assert again.painting.strokes == first.painting.strokes
    first.paint("particle", [[9, 9]])


def accepted_and_withdrawn(two, folder):
    """Give two painters of a folder: the first accepted a label, which the second withdrew."""
    images, masks = two
    first, second = (temlib.LabelPainter(images, folder) for _ in "12")
    scribble(first, masks[0])
    first.accept()
    second.reload()
    second.painting.withdraw()
    return first, second


def test_an_accepted_label_is_written_again_over_what_another_painter_wrote(two, tmp_path):
    first, second = accepted_and_withdrawn(two, tmp_path)
    assert not second.painting.path("_painted.tif").exists()
    first.save(overwrite=True)
    assert np.array_equal(first.masks[0].data, first.label)
    second.show(1)
    second.paint("particle", [[9, 9]])  # another micrograph of the same folder


def test_an_accepted_label_stays_what_was_accepted_whatever_is_learned_elsewhere(two, tmp_path):
    images, masks = two
    painter = temlib.LabelPainter(images, tmp_path)
    scribble(painter, masks[0])
    painter.show(1)
    painter.accept()
    accepted = painter.label
    painter.show(0)
    painter.paint("particle", [(10, 10), (90, 10)], 20)
    painter.show(1)
    assert np.array_equal(painter.label, accepted)
    painter.save()
    painter.accept()
    assert np.array_equal(painter.masks[0].data, accepted)
    again = temlib.LabelPainter(images, tmp_path)
    again.show(1)
    assert np.array_equal(again.label, accepted)
    ask(again, "withdraw")
    assert not np.array_equal(again.label, accepted), "what is not accepted is learned anew"


def test_a_stroke_that_could_not_be_saved_leaves_no_accepted_label(two, tmp_path):
    first, _ = accepted_and_withdrawn(two, tmp_path)
    assert "has changed since it was read" in ask(first, "stroke", kind="particle", points=[[5, 5]], size=9)
    assert not first._state["accepted"]
    assert first.label[4, 4]


def test_accepted_labels_are_files_that_others_read(two, tmp_path):
    images, masks = two
    painter = temlib.LabelPainter(images, tmp_path)
    scribble(painter, masks[0])
    label = painter.label
    ask(painter, "accept")
    assert painter._state["index"] == 1, "on to the next"
    (file,) = tmp_path.glob("*_painted.tif")
    assert np.array_equal(temlib.load_labels(file) > 0, label)
    assert temlib.pixel_size_of(temlib.load_micrograph(file)) == pytest.approx((0.5, 0.5))
    again = temlib.LabelPainter(images, tmp_path)
    assert again._state["index"] == 1
    assert [np.array_equal(mask.data, label) for mask in again.masks] == [True]
    assert np.array_equal(again.images[0].data, images[0].data)
    assert again.masks[0].data.dtype == bool
    again.show(0)
    again.paint("particle", [[5, 5]])
    assert not again.masks
    assert not file.exists(), "a label that was changed is not accepted"


def test_a_scale_bar_recalibrates_an_accepted_label(two, tmp_path):
    painter = temlib.LabelPainter(two[0][0], tmp_path)
    scribble(painter, two[1][0])
    painter.accept()
    mask = painter.masks[0].data
    ask(painter, "scale bar", points=[[10, 10], [10, 60]], length_nm=10)
    assert temlib.pixel_size_of(painter.masks[0]) == pytest.approx((0.2, 0.2))
    assert np.array_equal(painter.masks[0].data, mask)
    file = painter.painting.path("_painted.tif")
    assert temlib.pixel_size_of(temlib.load_micrograph(file)) == pytest.approx((0.2, 0.2))
    assert "two different points" in ask(painter, "scale bar", points=[[1, 1], [1, 1]], length_nm=10)
    assert "positive length" in ask(painter, "scale bar", points=[[1, 1], [2, 1]], length_nm=0)


def test_strokes_correct_a_given_mask(two, tmp_path):
    images, masks = two
    given = masks[0] & ~disc(masks[0].shape, (68, 62), 18)
    painter = temlib.LabelPainter(images[0], tmp_path, masks=[given])
    assert np.array_equal(painter.label, given)
    painter.paint("particle", [[62.5, 68.5]], size=36)
    painter.paint("background", [[40, 30]], size=4)
    assert np.array_equal(painter.label, masks[0] & ~disc(masks[0].shape, (29.5, 39.5), 2))
    painter.paint("erase", [[40, 30]], size=10)
    assert np.array_equal(painter.label, masks[0])
    again = temlib.LabelPainter(images[0], tmp_path)
    assert again.painting.mode == "correct"
    assert np.array_equal(again.label, masks[0])


def test_a_segmenter_gives_the_mask_and_the_classifier_can_take_over(two, tmp_path):
    images, masks = two
    painter = temlib.LabelPainter(images, tmp_path, segmenter=lambda image: image.data < 800)
    assert iou(painter.label, masks[0]) > 0.9
    ask(painter, "learn")
    scribble(painter, masks[0])
    learned = painter.label
    assert iou(learned, masks[0]) > 0.8
    ask(painter, "correct")
    painter.paint("erase", [[48, 48]], size=400)
    assert np.array_equal(painter.label, images[0].data < 800)
    alone = temlib.LabelPainter(images, tmp_path / "alone")
    scribble(alone, masks[0])
    learned = alone.label
    ask(alone, "correct")
    assert np.array_equal(alone.label, learned), "without a segmenter, what was learned is corrected"


def test_large_micrographs_are_classified_on_a_smaller_picture(tmp_path):
    mask = disc((1100, 1400), (500, 600), 200)
    image = 1000 - 400 * mask + np.random.default_rng(0).normal(0, 40, mask.shape)
    painter = temlib.LabelPainter(image, tmp_path)
    painter.paint("particle", [[550, 450], [650, 550]], size=20)
    painter.paint("background", [[100, 100], [1300, 100]], size=20)
    assert painter.painting.features.shape[:2] == (550, 700)
    assert painter.label.shape == mask.shape
    assert iou(painter.label, mask) > 0.97


def test_files_of_others_are_left_alone(two, tmp_path):
    images, _ = two
    (tmp_path / "mine_scribbles.png").write_bytes(b"mine")
    mine = micrograph(images[0].data, title="mine")
    with pytest.raises(MicrographError, match=r"mine_scribbles\.png: is there, but no strokes"):
        temlib.LabelPainter(mine, tmp_path)
    painter = temlib.LabelPainter(images[0], tmp_path)
    painter.paint("particle", [[5, 5]])
    with pytest.raises(MicrographError, match="belongs to another micrograph"):
        temlib.LabelPainter(images[1], tmp_path)
    path = painter.painting.path("_strokes.json")
    record = json.loads(path.read_text())
    for harm in ({"strokes": [{"kind": "particle", "size": 3, "points": "far"}]}, {"mode": "dream"}, {"format": 9}):
        path.write_text(json.dumps(record | harm))
        with pytest.raises(MicrographError, match=r"micrograph_1_strokes\.json: "):
            temlib.LabelPainter(images[0], tmp_path)
    path.write_text("{")
    with pytest.raises(MicrographError, match="cannot be taken up again"):
        temlib.LabelPainter(images[0], tmp_path)


def test_a_folder_of_files_is_gone_through(two, tmp_path):
    images, _ = two
    for name, image in zip("ba", images):
        temlib.save_micrograph(image, tmp_path / f"{name}.tif")
    (tmp_path / "notes.txt").write_text("of a kind that holds no micrograph")
    (tmp_path / "c.tif").write_text("damaged")
    painter = temlib.LabelPainter(tmp_path, tmp_path)
    assert (painter._state["name"], painter._state["count"]) == ("a", 3)
    painter.paint("particle", [[5, 5]])
    assert "c is passed over: c.tif: cannot be read" in ask(painter, "go", step=-1)
    assert painter._state["name"] == "b"
    assert ask(painter, "go", step=-1) == ""
    assert painter._state["name"] == "a"
    assert ask(painter, "go", step=1) == ""
    assert painter._state["name"] == "b"
    assert len(temlib.LabelPainter(tmp_path, tmp_path)._names) == 3, "its own files are no micrographs"


def test_each_micrograph_has_a_name_of_its_own_whatever_the_titles(two):
    titles = ["frame", "frame_3", "frame", "frame_4", "frame"]
    named = sources_of([micrograph(two[0][0].data, title=title) for title in titles])
    assert list(named) == ["frame", "frame_3", "frame_4", "frame_4_4", "frame_5"]
    assert len({id(each) for each in named.values()}) == len(titles)


def test_nothing_to_paint_on_is_said(tmp_path, two):
    (tmp_path / "notes.txt").write_text("no micrograph")
    with pytest.raises(TemlibError, match="no files there"):
        temlib.LabelPainter(tmp_path)
    with pytest.raises(MicrographError, match="nothing to look at"):
        temlib.LabelPainter([])
    with pytest.raises(ValueError, match="one for each"):
        temlib.LabelPainter(two[0], tmp_path, masks=[])
    with pytest.raises(ValueError, match="must be one of forest, quadratic"):
        temlib.LabelPainter(two[0], tmp_path, classifier="crystal ball")


def test_wishes_that_make_no_sense_are_answered(two, tmp_path):
    painter = temlib.LabelPainter(two[0], tmp_path)
    assert "nothing that the painter does" in ask(painter, "fly")
    assert "must be one of" in ask(painter, "stroke", kind="gold", size=3, points=[[1, 1]])
    assert ask(painter, "stroke", kind="particle", size=3, points=[[10, 10]]) == ""
    assert painter._state["n_strokes"] == 1


def test_a_picture_without_a_kernel(two, tmp_path):
    images, masks = two
    painter = temlib.LabelPainter(images, tmp_path)
    with pytest.raises(TemlibError, match="nothing is painted"):
        painter.figure()
    scribble(painter, masks[0])
    painter.accept()
    figure = painter.figure()
    assert len(figure.axes) == 1
    assert "accepted" in figure.axes[0].get_title()


def test_a_first_mask_that_does_not_fit_is_said_each_time(two, tmp_path):
    images, exact = two
    painter = temlib.LabelPainter(images, tmp_path, masks=[exact[0], np.zeros((3, 4), bool)])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"\(3, 4\)"):
            painter.show(1)


def stroke(**harm):
    return {"kind": "particle", "size": 3, "points": [[5, 5]]} | harm


HARM = [
    *({"strokes": [stroke(size=value)]} for value in (0, -1, float("nan"), 10**400, "3", True, None, [3])),
    *({"strokes": [stroke(kind=value)]} for value in ("cell", None, 3, ["particle"], {})),
    *({"strokes": [stroke(points=value)]} for value in ([], [[1]], [[1, 2, 3]], "far", [[[1, 1]]], None)),
    *({"strokes": [stroke(points=[[value, 1]])]} for value in (float("nan"), float("inf"), 1e300, 10**400)),
    *({"strokes": value} for value in ("none", [None], [[]], 3, {"kind": "particle"})),
    *({"undone": [{"kind": "particle"}]}, {"mode": ["learn"]}, {"format": [2]}, {"sha256": None}),
    *(
        {"pixel_size_source": "scale bar", "pixel_size_nm": value}
        for value in (None, 3, "ab", [0, 0], [-1, 1], [float("nan"), 1], [1], [1, 2, 3], [10**400, 1], {"y": 1})
    ),
]


@pytest.mark.parametrize("harm", HARM)
def test_a_record_that_nobody_painted_is_refused_in_one_line(harm, tmp_path):
    image = np.random.default_rng(0).normal(size=(40, 60))
    painter = temlib.LabelPainter(image, tmp_path)
    painter.paint("particle", [[5, 5]])
    path = painter.painting.path("_strokes.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | harm))
    before = path.read_bytes()
    with pytest.raises(MicrographError) as refused:
        temlib.LabelPainter(image, tmp_path)
    assert f"{path}: " in str(refused.value)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == before


def test_strokes_that_would_take_minutes_to_draw_are_refused(tmp_path):
    image = np.random.default_rng(0).normal(size=(400, 600))
    painter = temlib.LabelPainter(image, tmp_path)
    painter.paint("particle", [[5, 5]])
    path = painter.painting.path("_strokes.json")
    to_and_fro = stroke(size=500, points=[[0, 0], [600, 400]] * 50_000)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"strokes": [to_and_fro]}))
    with pytest.raises(MicrographError, match=r"strokes that cover more than 1e\+10 pixels"):
        temlib.LabelPainter(image, tmp_path)


def test_the_scale_bar_that_is_read_is_proposed_and_set_only_when_asked(tmp_path, monkeypatch):
    bar = ScaleBar("50 nm", 50.0, 100.0, (20.0, 80.0, 120.0, 86.0), (40.0, 60.0, 90.0, 75.0), 0.9)
    painter = temlib.LabelPainter([np.random.default_rng(0).random((128, 160))], folder=tmp_path)
    monkeypatch.setattr("temlib.widgets.painter.can_read", lambda: True)
    monkeypatch.setattr("temlib.widgets.painter.look_for_scale_bar", lambda image: (bar, ""))
    assert "read 50 nm over 100.0 px" in ask(painter, "read scale bar")
    proposed = painter._state["scale_bar"]
    assert proposed == {"points": [[20, 83], [120, 83]], "length_nm": 50}
    assert painter._state["pixel_size_nm"] is None
    assert ask(painter, "scale bar", **proposed) == ""
    assert painter._state["pixel_size_nm"] == pytest.approx(0.5)
    assert painter._state["scale_bar"] is None
    monkeypatch.setattr("temlib.widgets.painter.look_for_scale_bar", lambda image: (None, "the frame cuts '5 nm'"))
    assert "the frame cuts '5 nm'; click both ends" in ask(painter, "read scale bar")
    monkeypatch.setattr("temlib.widgets.painter.can_read", lambda: False)
    assert "pip install 'temlib[scalebar]'" in ask(painter, "read scale bar")
    assert painter._state["scale_bar"] is None


def test_a_line_over_a_particle_tells_the_segmenter_its_size(two, tmp_path):
    images, masks = two
    told = []

    class Asked:
        def looking_for(self, **sought):
            told.append(sought)
            return self

        def __call__(self, image):
            return masks[0] if told else np.zeros(image.data.shape, bool)

    painter = temlib.LabelPainter(images, tmp_path, segmenter=Asked())
    assert not painter.label.any()
    assert ask(painter, "diameter", points=[[10, 10], [22, 15]]) == ""
    size = temlib.pixel_size_of(painter.painting.image)
    assert told == [painter.diameter]
    assert painter.diameter == ({"diameter_px": 13} if size is None else {"diameter_nm": pytest.approx(13 * size[0])})
    assert painter._state["diameter"].split()[0] == f"{next(iter(painter.diameter.values())):.4g}"
    assert np.array_equal(painter.label, masks[0])
    assert "two different points" in ask(painter, "diameter", points=[[1, 1], [1, 1]])
    plain = temlib.LabelPainter(images, tmp_path / "plain")
    assert "segmenter=" in ask(plain, "diameter", points=[[10, 10], [22, 15]])
    assert plain.diameter == {}


def test_a_diameter_in_nm_does_not_bar_the_way_to_micrographs_without_a_pixel_size(two, tmp_path):
    images, _ = two

    class Asked:
        def __init__(self, diameter_nm=None):
            self.diameter_nm = diameter_nm

        def looking_for(self, diameter_nm):
            return Asked(diameter_nm)

        def __call__(self, image):
            if self.diameter_nm and temlib.pixel_size_of(image) is None:
                raise ValueError("the pixel size is unknown")
            return np.full(image.data.shape, self.diameter_nm is not None)

    calibrated, plain = micrograph(images[0].data, 0.5, "calibrated"), micrograph(images[1].data, title="plain")
    painter = temlib.LabelPainter([calibrated, plain], tmp_path, segmenter=Asked())
    assert ask(painter, "diameter", points=[[10, 10], [22, 15]]) == ""
    assert painter.label.all()
    assert ask(painter, "go", step=1) == ""
    assert painter._state["name"] == "plain"
    assert not painter.label.any(), "as the segmenter was before"
    assert ask(painter, "scale bar", points=[[10, 90], [60, 90]], length_nm=25) == ""
    assert ask(painter, "correct") == ""
    assert painter.label.all(), "the size is looked for where it can be"
