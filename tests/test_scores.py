import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from temlib.particles.scores import (
    iou,
    largest_median_least,
    panoptic_quality,
    particle_f1,
    particle_fates,
    particle_scores,
    particle_summary,
)
from tests.conftest import disc

masks = arrays(bool, (8, 9))


def test_iou_of_two_rectangles():
    a, b = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    a[:4, :4], b[2:6, :4] = True, True
    assert iou(a, b) == pytest.approx(8 / 24)


def test_iou_of_two_discs_is_that_of_the_circles():
    r, d = 60.0, 40.0
    lens = 2 * r**2 * np.arccos(d / (2 * r)) - d / 2 * np.sqrt(4 * r**2 - d**2)
    expected = lens / (2 * np.pi * r**2 - lens)
    assert iou(disc((200, 200), (100, 80), r), disc((200, 200), (100, 120), r)) == pytest.approx(expected, abs=0.003)


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    empty, full = np.zeros((3, 3), bool), np.ones((3, 3), bool)
    assert iou(empty, empty) == 1
    assert iou(empty, full) == 0


@given(masks, masks)
def test_iou_is_symmetric_and_in_range(a, b):
    assert 0 <= iou(a, b) == iou(b, a) <= 1
    assert iou(a, a) == 1


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        iou(np.zeros((2, 3)), np.zeros((3, 2)))


def test_perfect_prediction_finds_touching_particles():
    labels = np.zeros((80, 80), int)
    labels[disc((80, 80), (40, 25), 15)] = 1
    labels[disc((80, 80), (40, 54), 15)] = 5
    table = particle_scores(labels > 0, labels)
    assert list(table.index) == [1, 5]
    assert table["found"].all()
    assert np.allclose(table["iou"], 1)
    assert np.allclose(table[["circularity_error", "boundary_distance_px"]], 0)


def test_particles_that_are_missed_or_half_seen():
    labels = np.zeros((60, 60), int)
    labels[5:25, 5:25], labels[35:55, 35:55] = 1, 2
    prediction = np.zeros((60, 60), bool)
    prediction[35:55, 35:43] = True  # 8 of 20 columns
    table = particle_scores(prediction, labels)
    assert table["iou"].tolist() == pytest.approx([0, 0.4])
    assert not table["found"].any()
    assert table["boundary_distance_px"].isna().all()


def test_a_grown_disc_lies_its_growth_away():
    labels = disc((100, 100), (50, 50), 20).astype(int)
    table = particle_scores(disc((100, 100), (50, 50), 23), labels)
    assert table.loc[1, "boundary_distance_px"] == pytest.approx(3, abs=0.3)
    assert table.loc[1, "circularity_error"] == pytest.approx(0, abs=0.03)
    assert table.loc[1, "iou"] == pytest.approx((20 / 23) ** 2, abs=0.01)


def test_a_square_is_less_round_than_a_disc():
    labels = disc((100, 100), (50, 50), 20).astype(int)
    square = np.zeros((100, 100), bool)
    square[33:68, 33:68] = True
    assert particle_scores(square, labels).loc[1, "circularity_error"] < -0.05


def test_false_particles_far_away_do_not_spoil_true_ones():
    labels = disc((100, 100), (20, 20), 10).astype(int)
    prediction = (labels > 0) | disc((100, 100), (75, 75), 15)
    assert particle_scores(prediction, labels).loc[1, "iou"] == 1


def test_no_particles_give_an_empty_table():
    assert particle_scores(np.zeros((5, 5)), np.zeros((5, 5), int)).empty


@given(arrays(np.int8, (12, 12), elements=st.integers(0, 4)), arrays(bool, (12, 12)))
def test_scores_lie_in_range(labels, prediction):
    table = particle_scores(prediction, labels)
    assert list(table.index) == sorted(set(labels[labels > 0].tolist()))
    assert table["iou"].between(0, 1).all()
    assert (table["found"] == (table["iou"] >= 0.5)).all()


def test_methods_are_compared_on_the_particles_that_all_of_them_found():
    labels = np.zeros((100, 200), int)
    labels[disc(labels.shape, (50, 50), 20)], labels[disc(labels.shape, (50, 150), 20)] = 1, 2
    grown = disc(labels.shape, (50, 50), 23) | disc(labels.shape, (50, 150), 26)
    tables = {"both": particle_scores(grown, labels), "first": particle_scores(labels == 1, labels)}
    summary = particle_summary(tables)
    assert summary.loc["found"].to_dict() == {"both": 1, "first": 0.5}
    assert summary.loc["particles"].to_dict() == {"both": 2, "first": 2}
    assert summary.loc["distance between outlines [px]", "both"] == pytest.approx(3, abs=0.3)
    assert summary.loc["distance between outlines [px]", "first"] == 0


def test_examples_are_chosen_by_their_rank():
    gains = [0.1, -0.2, 0.5, 0.0, 0.3]
    assert largest_median_least(gains) == largest_median_least(pd.Series(gains)) == [2, 0, 1]
    assert largest_median_least([0.1, 0.4]) == [1, 0]
    assert largest_median_least([0.1]) == [0]


def test_panoptic_quality_is_f1_times_the_mean_iou_of_the_pairs():
    truth, found = np.zeros((20, 20), int), np.zeros((20, 20), int)
    truth[:4, :4], truth[10:14, :4] = 1, 2
    found[:4, :5], found[10:14, 10:14] = 7, 8  # one with an IoU of 16 / 20, one beside the particle
    assert particle_f1(found, truth) == pytest.approx(1 / 2)
    assert panoptic_quality(found, truth) == pytest.approx(1 / 2 * 16 / 20)


@given(arrays(int, (8, 9), elements=st.integers(0, 3)), arrays(int, (8, 9), elements=st.integers(0, 3)))
def test_panoptic_quality_lies_between_half_of_f1_and_f1(a, b):
    assert particle_f1(a, b) / 2 <= panoptic_quality(a, b) <= particle_f1(a, b) <= 1
    assert panoptic_quality(a, a) == 1


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_the_examples_are_the_largest_gain_one_in_the_middle_and_the_least(gains):
    places = largest_median_least(gains)
    assert gains[places[0]] == max(gains)
    assert gains[places[-1]] == min(gains)
    assert sorted(gains)[(len(gains) - 1) // 2] in [gains[place] for place in places]
    assert len(set(places)) == len(places)


def test_each_true_particle_has_its_fate():
    truth = np.zeros((20, 70), int)
    for number, left in enumerate((0, 12, 20, 32, 44, 56), start=1):
        truth[4:12, left : left + 8] = number
    found = np.zeros_like(truth)
    found[4:12, 1:8] = 9  # one outlined well
    found[4:12, 12:28] = 4  # two joined
    found[4:12, 32:36], found[4:12, 36:40] = 5, 6  # one cut
    found[0:20, 42:54] = 7  # one outlined much too wide
    found[5, 57] = 8  # one all but missed
    fates = particle_fates(found, truth)
    assert fates.tolist() == ["found", "joined", "joined", "cut", "badly outlined", "missed"]
    assert fates.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert particle_fates(truth, truth).tolist() == ["found"] * 6
    assert particle_fates(0 * truth, truth).tolist() == ["missed"] * 6
    assert particle_fates(truth, 0 * truth).empty


@given(arrays(int, (6, 7), elements=st.integers(0, 3)), arrays(int, (6, 7), elements=st.integers(0, 3)))
def test_as_many_are_found_as_f1_says(prediction, truth):
    counts = len(np.unique(prediction[prediction > 0])) + len(np.unique(truth[truth > 0]))
    found = (particle_fates(prediction, truth) == "found").sum()
    assert particle_f1(prediction, truth) == pytest.approx(2 * found / counts if counts else 1)
