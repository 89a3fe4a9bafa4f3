import io
import zipfile
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from temlib.files.resampling import resize
from temlib.network.augmentation import truth_maps
from temlib.network.finding import find, levels_of, proposals_of
from temlib.particles.lessons import Lesson, fit_scorer, lesson_of
from temlib.particles.placing import Room, place
from temlib.particles.proposal_numbers import NUMBERS
from temlib.particles.scorer import Scorer, Trees, fit_trees
from temlib.particles.scores import particle_f1
from tests.conftest import disc

SCALES = (0.5, 1.0, 2.0)


def discs(*places, shape=(160, 200)):
    labels = np.zeros(shape, int)
    for number, (y, x, r) in enumerate(places, start=1):
        labels[disc(shape, (y, x), r) & (labels == 0)] = number
    return labels


def levels(labels, blind=None):
    """Give what a perfect network says; at scales below 1 it does not see the particle ``blind``."""
    grey = np.where(labels > 0, -0.6, 0.4).astype(np.float32)
    seen = []
    for scale in SCALES:
        truth = truth_maps(np.where(labels == blind, 0, labels) if scale < 1 else labels)
        size = (round(labels.shape[0] * scale), round(labels.shape[1] * scale))
        seen.append((scale, size, resize(truth, (-(-size[0] // 2), -(-size[1] // 2)))))
    return levels_of(grey, seen)


LABELS = discs((60, 60, 30), (60, 97, 9), (120, 60, 20), (130, 150, 14), (40, 160, 6))


def test_each_particle_is_proposed_however_small_and_where_it_touches_a_larger_one():
    lesson = lesson_of(proposals_of(levels(LABELS), LABELS.shape, 0.5), LABELS)
    best = {}
    for index in np.argsort(lesson.ious):
        level, members = lesson.room.level[index], lesson.room.members[index]
        drawn = np.isin(lesson.room.hills(level), members)
        best[np.bincount(LABELS[drawn], minlength=6)[1:].argmax() + 1] = lesson.ious[index]
    assert lesson.true == 5
    assert min(best.get(number, 0) for number in range(1, 6)) > 0.8


def test_the_best_proposals_are_placed_and_each_pixel_goes_to_one():
    proposals = proposals_of(levels(LABELS), LABELS.shape, 0.5)
    ious = lesson_of(proposals, LABELS).ious
    found = place(proposals, ious, ious, 0.5)
    assert particle_f1(found.labels, LABELS) == 1
    assert len(found.confidence) == found.labels.max() == 5
    assert found.labels.dtype == np.int32
    first = [np.flatnonzero(found.labels.ravel() == number)[0] for number in range(1, 6)]
    assert first == sorted(first)


def test_what_is_seen_at_one_scale_alone_is_found():
    proposals = proposals_of(levels(LABELS, blind=5), LABELS.shape, 0.5)
    ious = lesson_of(proposals, LABELS).ious
    assert particle_f1(place(proposals, ious, ious, 0.5).labels, LABELS) == 1


def test_what_is_left_out_is_told():
    proposals = proposals_of(levels(LABELS), LABELS.shape, 0.5)
    ious = lesson_of(proposals, LABELS).ious
    small = proposals.numbers[:, NUMBERS.index("log_diameter_px")] < np.log(15)
    confidence = np.where(small, 0.3, 0.9)
    all_of_them = place(proposals, ious + confidence, confidence, 0.0)
    found = place(proposals, ious + confidence, confidence, 0.5)
    assert all_of_them.labels.max() == 5
    assert found.labels.max() == 4
    assert found.left_out_px == pytest.approx([12], abs=1)
    assert found.left_out_confidence == [0.3]
    np.testing.assert_array_equal(found.confidence, [0.9] * 4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_is_said_and_however_it_is_judged_particles_are_numbered_and_disjoint(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(3, 60, 2))
    seen = []
    for scale in SCALES[: rng.integers(1, 4)]:
        size = tuple(max(1, round(edge * scale)) for edge in shape)
        seen.append((scale, size, rng.random((-(-size[0] // 2), -(-size[1] // 2), 2)).astype(np.float32)))
    proposals = proposals_of(levels_of(rng.random(shape).astype(np.float32), seen), shape, 0.5)
    assert np.isfinite(proposals.numbers).all()
    judged = rng.random(len(proposals.level))
    for least in (0.0, 0.5):
        found = place(proposals, judged, judged, least)
        assert found.labels.shape == shape
        assert set(np.unique(found.labels)) - {0} == set(range(1, len(found.confidence) + 1))
        assert (found.confidence >= least).all()
        assert (found.left_out_confidence < least).all()
        assert len(found.left_out_px) == len(found.left_out_confidence)


def test_without_a_scorer_particles_are_those_of_the_average_as_sure_as_their_probability():
    seen = levels(LABELS)
    for level in seen:
        level.maps[: level.maps.shape[0] // 2, ..., 0] *= 0.7
    found = find(seen, LABELS.shape, 0.5, None, None)
    assert found.least == 0.75
    assert found.labels.max() == 2
    assert len(found.left_out_px) == 3
    assert find(seen, LABELS.shape, 0.5, None, 0.5).labels.max() == 5


def test_no_micrograph_without_particles_fails():
    nothing = np.zeros((50, 60), int)
    proposals = proposals_of(levels(nothing), nothing.shape, 0.5)
    assert proposals.numbers.shape == (0, len(NUMBERS))
    assert not find(levels(nothing), nothing.shape, 0.5, scorer(), None).labels.any()
    assert not find(levels(nothing), nothing.shape, 0.5, None, None).labels.any()
    assert lesson_of(proposals, nothing).true == 0


def table(n=600, seed=0):
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n, len(NUMBERS))).astype(np.float32)
    ious = np.clip(0.5 + 0.3 * numbers[:, 3] - 0.2 * numbers[:, 7] * (numbers[:, 1] > 0), 0, 1)
    return numbers, ious


@cache
def scorer():
    return Scorer(fit_trees(*table(), np.ones(600)), (0.1, 0.5, 0.9), (0.0, 0.4, 0.95), 0.45)


def test_trees_as_arrays_say_what_scikit_learn_says():
    from sklearn.ensemble import HistGradientBoostingRegressor

    numbers, ious = table()
    options = {"max_iter": 200, "learning_rate": 0.06, "max_leaf_nodes": 31, "min_samples_leaf": 40}
    theirs = HistGradientBoostingRegressor(**options, l2_regularization=5.0, early_stopping=False, random_state=0)
    theirs.fit(numbers, ious, np.ones(600))
    new = table(500, seed=1)[0]
    np.testing.assert_allclose(scorer().trees(new), theirs.predict(new), atol=1e-6)


def test_a_scorer_comes_back_from_its_bytes():
    one = scorer()
    other = Scorer.from_bytes(one.to_bytes())
    numbers = table(50, seed=2)[0]
    np.testing.assert_array_equal(one(numbers), other(numbers))
    np.testing.assert_array_equal(one.sure(np.linspace(-1, 2, 9)), other.sure(np.linspace(-1, 2, 9)))
    assert other.least == 0.45
    assert other.digest() == one.digest()
    assert len(one(numbers[:0])) == 0


def changed(**arrays):
    with np.load(io.BytesIO(scorer().to_bytes())) as file:
        kept = {name: file[name] for name in file.files}
    target = io.BytesIO()
    np.savez(target, **{name: value for name, value in (kept | arrays).items() if value is not None})
    return target.getvalue()


def bomb():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("value.npy", bytes(2**25))
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged"),
        (b"PK" + bytes(50), "damaged"),
        (bomb(), "unpacks to more"),
        ({"value": None}, "damaged"),
        ({"value": np.array([object()] * 3)}, "damaged|pickle"),
        ({"roots": np.array([10**6], np.int32)}, "roots"),
        ({"left": np.zeros(3, np.int32)}, "shape"),
        ({"base": np.array(np.nan)}, "finite"),
        ({"confidence": np.array([0, 2, 1.0])}, "out of range"),
        ({"expected": np.array([0.3, 0.2, 0.4])}, "out of range"),
        ({"numbers": np.array(["age"])}, "other numbers"),
    ],
)
def test_a_damaged_scorer_is_refused(content, reason):
    with pytest.raises(ValueError, match=reason):
        Scorer.from_bytes(content if isinstance(content, bytes) else changed(**content))


def test_trees_that_lead_back_are_refused():
    with np.load(io.BytesIO(scorer().to_bytes())) as file:
        left = file["left"].copy()
    inner = np.flatnonzero(left > 0)
    left[inner[-1]] = inner[1]  # a way back: it would never end
    with pytest.raises(ValueError, match="lead nowhere"):
        Scorer.from_bytes(changed(left=left))


def test_a_scorer_learns_to_tell_particles_from_what_looks_like_them():
    """Faint spots of a fixed size are no particles here; the scorer has to find out."""
    rng = np.random.default_rng(0)

    def lesson(index):
        places = [(rng.integers(20, 140), rng.integers(20, 180), rng.choice([6, 12, 20])) for _ in range(8)]
        labels = discs(*places)
        seen = levels(labels)
        true = np.isin(labels, [n for n, (*_, r) in enumerate(places, start=1) if r > 6])
        for level in seen:
            level.maps[..., 0] *= np.where(resize(true.astype(np.float32), level.maps.shape[:2]) > 0.5, 1, 0.7)
        return (
            lesson_of(proposals_of(seen, labels.shape, 0.5), np.where(true, labels, 0)),
            seen,
            np.where(true, labels, 0),
        )

    lessons = [lesson(index) for index in range(24)]
    taught = fit_scorer([each for each, *_ in lessons[:18]])
    assert all(0 <= c <= 1 for c in taught.confidence)
    assert list(taught.confidence) == sorted(taught.confidence)
    scores = [
        particle_f1(find(seen, labels.shape, 0.5, taught, 0.5).labels, labels) for _, seen, labels in lessons[18:]
    ]
    assert np.mean(scores) > 0.9


def test_a_scorer_needs_more_than_one_micrograph():
    nothing = Lesson(np.zeros((0, len(NUMBERS)), np.float32), np.zeros(0), 0, Room((1, 1), np.zeros(0, int), [], []))
    with pytest.raises(ValueError, match="3 micrographs"):
        fit_scorer([nothing] * 5)


def test_a_tree_of_one_leaf_gives_its_value():
    leaf = Trees(
        roots=np.zeros(1, np.int32),
        column=np.zeros(1, np.uint8),
        threshold=np.zeros(1, np.float32),
        left=np.zeros(1, np.int32),
        right=np.zeros(1, np.int32),
        value=np.array([0.25], np.float32),
        base=0.5,
    )
    np.testing.assert_array_equal(leaf(np.zeros((3, len(NUMBERS)), np.float32)), [0.75] * 3)
