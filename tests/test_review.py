"""A review of particles without a browser: edits, undo, filters, files, particles that were found anew."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy.ndimage import find_objects, gaussian_filter

import temlib
from temlib.errors import MicrographError
from temlib.particles.placing import Found
from temlib.particles.review import Review, apply_review, filter_columns
from tests.conftest import disc

SHAPE = (64, 96)
CENTRES = ((16, 20), (16, 38), (44, 24), (40, 60), (2, 80), (44, 84))
RADII = (6, 9, 10, 7, 6, 4)


@pytest.fixture
def labels():
    return drawn()


def drawn(radii=RADII):
    labels = np.zeros(SHAPE, np.int32)
    for number, (centre, radius) in enumerate(zip(CENTRES, radii, strict=True), start=1):
        labels[disc(SHAPE, centre, radius) & (labels == 0)] = number
    return labels


def image_of(labels):
    return np.where(labels > 0, 50, 200).astype(np.uint8)


def test_what_counts_is_what_is_whole_and_not_left_out(labels):
    review = Review(labels)
    assert review.counts() | {"filters": 0} == {
        **{"found": 6, "added": 0, "split": 0, "merged": 0, "removed": 0},
        **{"counted": 5, "cut_by_frame": 1, "filtered": 0, "taken_out": 0, "filters": 0},
    }
    review.take_out([1])
    review.filter("equivalent_diameter_px", 9, None)
    table = review.table.set_index("particle")
    assert table["why"].to_dict() == {
        1: "left out by hand",
        2: "",
        3: "",
        4: "",
        5: "cut by the frame",
        6: "equivalent_diameter_px below 9.0",
    }
    assert table["left_out"].tolist() == [True, False, False, False, True, True]
    assert review.distribution.n == 3
    assert review.distribution.n_excluded == 1
    assert set(np.unique(review.kept)) == {0, 2, 3, 4, 5}
    review.take_back([6, 1])
    assert review.counts()["counted"] == 5, "a person knows better than a filter"
    assert review.counts()["filters"] == {"equivalent_diameter_px": {"low": 9.0, "high": None, "outside": 1}}


def test_a_line_parts_what_it_goes_across_and_nothing_else(labels):
    review = Review(labels)
    review.split([[12, 44.5], [40, 44.5]])
    halves = [np.count_nonzero(review.labels == number) for number in (3, 7)]
    assert halves[0] == pytest.approx(halves[1], rel=0.15)
    assert sum(halves) == np.count_nonzero(labels == 3)
    assert review.counts()["split"] == 1
    assert np.array_equal(review.labels > 0, labels > 0)
    with pytest.raises(ValueError, match="across no particle"):
        review.split([[24, 30], [24, 40]])
    review.merge([3, 7])
    assert np.array_equal(review.labels, labels)
    assert review.table.set_index("particle").loc[3, "by_hand"] == "merged"


def test_a_thin_line_at_any_angle_parts_a_disc_in_two():
    labels = disc(SHAPE, (32, 48), 20).astype(int)
    for angle in np.linspace(0, np.pi, 19):
        review = Review(labels)
        x, y = 30 * np.cos(angle), 30 * np.sin(angle)
        review.split([[48.5 - x, 32.5 - y], [48.5 + x, 32.5 + y]])
        areas = np.bincount(review.labels.ravel())[1:]
        assert len(areas) == 2
        assert areas.min() > 0.45 * areas.sum()


def test_a_particle_is_added_where_there_is_room(labels):
    review = Review(labels, image_of(labels), confidence=dict.fromkeys(range(1, 7), 0.9))
    mask = disc(SHAPE, (24, 70), 8)
    number = review.add(mask | (labels == 4))
    assert number == 7
    assert np.array_equal(review.labels == 7, mask & (labels == 0))
    table = review.table.set_index("particle")
    assert table.loc[7, "by_hand"] == "added"
    assert np.isnan(table.loc[7, "confidence"])
    review.filter("confidence", 0.95)
    assert review.fates[7] == 0, "what has no number is not filtered by it"
    assert review.fates[1] == 2
    with pytest.raises(ValueError, match="no room"):
        review.add(labels == 4)


def test_a_lasso_takes_those_whose_centre_lies_in_it(labels):
    review = Review(labels)
    assert review.within([[8, 4], [40, 4], [40, 28], [8, 28]]) == [1, 2]
    assert review.within([[8, 4], [30, 4], [30, 28], [8, 28]]) == [1]
    assert review.at(20, 16) == 1
    assert review.at(-1, 5) == review.at(5, 1e9) == 0


def test_every_number_that_is_measured_can_be_a_filter(labels):
    review = Review(Found(labels, np.linspace(0, 1, 6), np.zeros(0), np.zeros(0), 0.0), image_of(labels))
    assert filter_columns(review.measured)[:7] == [
        *("equivalent_diameter_px", "aspect_ratio", "circularity", "solidity", "contrast", "frame_distance_px"),
        "confidence",
    ]
    for column in filter_columns(review.measured):
        values = np.sort(review.measured[column].dropna())
        review.filter(column, None, values[2])
        assert (review.table.loc[review.table[column] > values[2], "left_out"]).all()
        review.filter(column)
    assert review.filters == {}
    review.filter("confidence", 0.5)
    assert [number for number, fate in review.fates.items() if fate == 2] == [1, 2, 3]


POINT = st.tuples(st.floats(-9, 105), st.floats(-9, 73))
NUMBERS = st.lists(st.integers(1, 9), min_size=1, max_size=4)
STEP = st.one_of(
    st.tuples(st.sampled_from(["take_out", "take_back", "remove", "merge"]), NUMBERS),
    st.tuples(st.just("split"), st.lists(POINT, min_size=2, max_size=4)),
    st.tuples(st.just("add"), st.tuples(POINT, st.integers(1, 9))),
    st.tuples(st.just("filter"), st.floats(0, 30)),
    st.tuples(st.sampled_from(["undo", "redo"]), st.none()),
)


def step(review, name, value):
    """Do something, or nothing where that cannot be done."""
    try:
        if name == "add":
            (x, y), radius = value
            review.add(disc(SHAPE, (y, x), radius))
        elif name == "filter":
            review.filter("equivalent_diameter_px", value)
        else:
            getattr(review, name)(*(() if value is None else (value,)))
    except ValueError:
        pass


def state_of(review):
    return review.labels.copy(), review._state, len(review.edits)


def same(one, other):
    return np.array_equal(one[0], other[0]) and one[1:] == other[1:]


@settings(deadline=None, max_examples=30)
@given(st.lists(STEP, max_size=12))
def test_any_sequence_of_edits_is_undone_exactly_and_replayed_equally(steps):
    review = Review(drawn(), name="discs")
    for name, value in steps:
        before = state_of(review)
        step(review, name, value)
        there = np.unique(review.labels[review.labels > 0])
        fresh = enumerate(find_objects(review.labels), start=1)
        assert review.boxes == {number: box for number, box in fresh if box is not None}
        assert max(there, default=0) < review._state.next
        counts = review.counts()
        expected = counts["found"] + counts["added"] + counts["split"] - counts["merged"] - counts["removed"]
        assert expected == len(there) == sum(counts[n] for n in ("counted", "cut_by_frame", "filtered", "taken_out"))
        after = state_of(review)
        if name not in ("undo", "redo") and after[2] > before[2]:
            review.undo()
            assert same(state_of(review), before)
            review.redo()
            assert same(state_of(review), after)
    done = state_of(review)
    again = Review(drawn(), name="discs")
    again.replay(json.loads(json.dumps(review.record())))
    assert same(state_of(again), done)
    assert again.undone == review.undone
    while review.edits:
        review.undo()
    assert np.array_equal(review.labels, drawn())


GRID = (150, 240)
OF_OUTLINES = ("feret", "perimeter", "aspect_ratio", "circularity", "roundness", "convexity", "extent")  # of float32
PLACE = st.tuples(st.integers(0, 239), st.integers(0, 149))
CHANGE = st.one_of(
    st.tuples(st.sampled_from(["remove", "merge"]), st.lists(st.integers(1, 40), min_size=2, max_size=3)),
    st.tuples(st.just("split"), st.tuples(PLACE, PLACE)),
    st.tuples(st.just("add"), st.tuples(PLACE, st.integers(2, 9))),
    st.tuples(st.just("undo"), st.none()),
)


def grid():
    """Forty discs of several sizes, some of them touching, and what a network and a scale bar would make of them."""
    labels = np.zeros(GRID, np.int32)
    rng = np.random.default_rng(5)
    for number in range(1, 41):
        centre = (15 + 30 * ((number - 1) // 8) + rng.integers(-4, 5), 15 + 30 * ((number - 1) % 8))
        labels[disc(GRID, centre, rng.integers(4, 17)) & (labels == 0)] = number
    chances = np.clip(gaussian_filter((labels > 0).astype(float), 2) + rng.uniform(0, 0.2, GRID), 0, 1)
    marks = np.zeros(GRID, bool)
    marks[140:, 200:] = True
    return labels, rng.normal(100, 10, GRID) - 50 * (labels > 0), chances, marks


@settings(deadline=None, max_examples=10)
@given(st.lists(CHANGE, min_size=1, max_size=4))
def test_what_is_measured_near_a_change_is_what_is_measured_everywhere(steps):
    labels, image, probability, marks = grid()
    measures = {"probability": probability, "marks": marks, "pixel_size_nm": (0.4, 0.5)}
    review = Review(labels, image, **measures)
    assert len(review.measured) == 40
    for place, (name, value) in enumerate(steps):
        try:
            if name == "add":
                review.add(disc(GRID, value[0][::-1], value[1]))
            else:
                getattr(review, name)(*(() if value is None else (value,)))
        except ValueError:
            continue
        if place % 2 == 0 and review.labels.any():  # now and then two changes are measured together
            everywhere = Review(review.labels, image, **measures).measured
            drawn_lengths = [name for name in everywhere if name.startswith(OF_OUTLINES)]
            assert_frame_equal(review.measured[drawn_lengths], everywhere[drawn_lengths], rtol=2e-3)
            others = everywhere.columns.difference(drawn_lengths)
            assert_frame_equal(review.measured[others], everywhere[others])


@settings(deadline=None, max_examples=15)
@given(st.lists(STEP, max_size=8), st.sets(st.integers(1, 6), min_size=1))
def test_particles_found_anew_are_known_by_overlap(steps, left):
    review = Review(drawn(), name="discs")
    for name, value in steps:
        step(review, name, value)
    other = Review(np.where(np.isin(drawn(), list(left)), drawn()[::-1].max() + 1 - drawn(), 0))
    other.replay(review.record())
    there = np.unique(other.labels[other.labels > 0])
    assert sorted(other.boxes) == there.tolist()
    assert not other.undone


def test_decisions_follow_particles_to_other_pixels_and_numbers(labels, tmp_path):
    review = Review(labels)
    review.take_out([1, 6])
    review.split([[12, 44.5], [40, 44.5]])
    review.take_out([7])
    review.merge([1, 2])
    review.add(disc(SHAPE, (24, 70), 5))
    review.filter("equivalent_diameter_px", 5)
    review.save(tmp_path / "discs_review.json")
    anew = np.where(labels == 6, 0, labels)
    wider = np.where(drawn((6, 9, 11, 7, 6, 4)) == 6, 0, drawn((6, 9, 11, 7, 6, 4)))
    found = apply_review(np.where(wider > 0, 40 - wider, 0), tmp_path / "discs_review.json")
    assert (found.matched, found.lost) == (7 - 1, 1)
    assert found.counts()["split"] == found.counts()["merged"] == found.counts()["added"] == 1
    assert len(found.unmatched) == 1
    assert found.at(24, 50) != found.at(24, 38)
    found.save(tmp_path / "discs_review.json")
    again = apply_review(wider, tmp_path / "discs_review.json")
    assert again.lost == 1, "what is not found is kept for later"
    assert anew.max() == 5


def test_where_nothing_is_found_what_was_added_is_left(labels, tmp_path):
    review = Review(Found(labels, np.full(6, 0.9), np.zeros(0), np.zeros(0), 0.5))
    review.take_out([1])
    review.add(disc(SHAPE, (24, 70), 5))
    review.filter("confidence", 0.5)
    path = review.save(tmp_path / "discs_review.json")
    nothing = Found(np.zeros(SHAPE, np.int32), np.zeros(0), np.zeros(0), np.zeros(0), 0.5)
    anew = apply_review(nothing, path)
    assert np.array_equal(anew.kept > 0, disc(SHAPE, (24, 70), 5))
    assert (anew.matched, anew.lost) == (1, 1)
    assert [edit.do for edit in anew.unmatched] == ["take out"]
    while anew.edits:
        anew.undo()
    assert (anew.counts()["found"], len(anew.table), anew.distribution) == (0, 0, None)


def test_when_all_are_removed_a_filter_stays(labels):
    review = Review(labels, confidence=dict.fromkeys(range(1, 7), 0.9))
    review.filter("confidence", 0.5)
    review.remove(range(1, 7))
    assert review.counts()["filters"]["confidence"]["outside"] == 0
    assert not review.kept.any()


def test_a_review_is_read_again_as_it_was(labels, tmp_path):
    image = image_of(labels)
    review = Review(labels, image, pixel_size_nm=0.5)
    review.take_out([2])
    review.filter("contrast", None, -100)
    review.undo()
    path = review.save(tmp_path / "discs_review.json")
    again = temlib.apply_review(labels, path, image, pixel_size_nm=0.5)
    assert (again.matched, again.lost) == (0, 0)
    assert again.name == "discs"
    assert again.table.equals(review.table)
    again.redo()
    assert again.filters == {"contrast": (None, -100.0)}
    assert b"pickle" not in path.read_bytes()


@pytest.mark.parametrize(
    ("particles", "image", "reason"),
    [
        (np.zeros(SHAPE, int), None, "there are no particles"),
        (np.ones(SHAPE), None, "whole numbers"),
        (np.ones((2, *SHAPE), int), None, "two dimensions"),
        (-np.ones(SHAPE, int), None, "numbers from 1"),
        (np.full(SHAPE, 2**30), None, "numbers from 1"),
        (np.ones(SHAPE, int), np.zeros((9, 9)), "the micrograph (9, 9)"),
    ],
)
def test_what_are_no_particles_is_said_in_one_line(particles, image, reason):
    with pytest.raises(MicrographError) as error:
        Review(particles, image, name="gold")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        (lambda review: review.take_out([99]), "no particle 99"),
        (lambda review: review.take_out([]), "no particle was chosen"),
        (lambda review: review.merge([1, 1]), "two particles at least"),
        (lambda review: review.split([[1, 2]]), "points"),
        (lambda review: review.split([[1, np.nan], [3, 4]]), "points"),
        (lambda review: review.split("across"), "points"),
        (lambda review: review.within([[1, 2], [3, 4]]), "points"),
        (lambda review: review.add(np.ones((3, 3), bool)), "shape"),
        (lambda review: review.filter("beauty", 1), "no number 'beauty'"),
        (lambda review: review.filter("solidity", 2, 1), "smaller one first"),
        (lambda review: review.filter("solidity", np.nan), "not finite"),
    ],
)
def test_edits_that_cannot_be_done_change_nothing(labels, do, reason):
    review = Review(labels)
    with pytest.raises(ValueError, match=reason):
        do(review)
    assert np.array_equal(review.labels, labels)
    assert review.edits == []


HARM = {
    "another micrograph": lambda r: r | {"sha256": "0" * 64},
    "another shape": lambda r: r | {"shape": [1, 2]},
    "another program": lambda r: {"edits": []},
    "no edits": lambda r: {k: v for k, v in r.items() if k != "edits"},
    "unknown edit": lambda r: r | {"edits": [{"do": "eval"}]},
    "edits of numbers": lambda r: r | {"edits": [1, 2]},
    "another particle": lambda r: r | {"edits": [r["edits"][0] | {"particles": [77]}]},
    "no region": lambda r: r | {"edits": [r["edits"][0] | {"regions": [99]}]},
    "too few regions": lambda r: r | {"edits": [r["edits"][0] | {"regions": []}]},
    "a region beyond": lambda r: r | {"regions": [[[0, 0, 999, 999], [998001]]]},
    "a region of nonsense": lambda r: r | {"regions": [["a", "b"]]},
    "a region that lies": lambda r: r | {"regions": [[[0, 0, 2, 2], [1, 1]]]},
    "bounds of words": lambda r: r | {"edits": [{"do": "filter", "column": "solidity", "bounds": ["a", "b"]}]},
    "another column": lambda r: r | {"edits": [{"do": "filter", "column": "beauty", "bounds": [1, 2]}]},
    "a column that is none": lambda r: r | {"edits": [{"do": "filter", "column": [1], "bounds": [1, 2]}]},
    "a line to nowhere": lambda r: r | {"edits": [r["edits"][0] | {"do": "split", "points": [[0, 0], [1e9, 1]]}]},
    "a line across nothing": lambda r: r | {"edits": [r["edits"][0] | {"do": "split", "points": [[0, 0], [1, 1]]}]},
}


@pytest.mark.parametrize("harm", HARM)
def test_damaged_reviews_are_refused_in_one_line(labels, tmp_path, harm):
    image = image_of(labels)
    review = Review(labels, image)
    review.take_out([1])
    path = tmp_path / "discs_review.json"
    path.write_text(json.dumps(HARM[harm](review.record())))
    with pytest.raises(MicrographError) as error:
        apply_review(labels, path, image)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_files_that_are_no_reviews_are_refused_in_one_line(labels, tmp_path, text):
    path = tmp_path / "discs_review.json"
    path.write_bytes(text)
    for where in (path, tmp_path, tmp_path / "missing_review.json"):
        with pytest.raises(MicrographError, match="cannot be taken up"):
            apply_review(labels, where)
