"""The scores of tracks by which the benchmark judges, against cases worked by hand."""

import numpy as np
import pytest

from tests.benchmarks.tracking import as_tracks, hota


def strips(*frames):
    """Frames of one row, each a list of numbers."""
    return np.array(frames, np.int32)[:, None, :]


def test_equal_tracks_score_one_whatever_their_numbers():
    truth = strips([1, 1, 0, 2, 2], [1, 1, 0, 2, 2])
    assert hota(truth, truth)["hota"] == 1
    assert hota(truth, np.array([0, 7, 3])[truth])["hota"] == 1


def test_a_number_that_changes_halfway_halves_the_association():
    truth = strips(*[[1, 1]] * 4)
    found = strips([1, 1], [1, 1], [2, 2], [2, 2])
    scores = hota(truth, found)
    assert scores["detection"] == 1
    assert scores["association"] == pytest.approx(0.5)  # each pair: 2 shared frames of 4
    assert scores["hota"] == pytest.approx(np.sqrt(0.5))


def test_a_particle_that_is_never_found_halves_the_detection():
    truth = strips(*[[1, 1, 0, 2, 2]] * 3)
    scores = hota(truth, np.where(truth == 2, 0, truth))
    assert scores["detection"] == pytest.approx(0.5)
    assert scores["association"] == 1
    assert scores["hota"] == pytest.approx(np.sqrt(0.5))


def test_half_an_overlap_counts_at_half_the_thresholds():
    truth, found = strips(*[[1, 1, 1, 1]] * 2), strips(*[[1, 1, 0, 0]] * 2)
    assert hota(truth, found)["hota"] == pytest.approx(10 / 19)  # IoU 0.5: thresholds 0.05 to 0.5


def test_numbers_that_swap_and_nothing_found():
    truth = strips([1, 0, 2], [1, 0, 2])
    swapped = strips([1, 0, 2], [2, 0, 1])
    assert hota(truth, swapped)["association"] == pytest.approx(1 / 3)  # each pair: 1 shared, 1 missed, 1 false
    assert hota(truth, 0 * truth)["hota"] == 0


def test_tracks_are_written_into_their_frames():
    import pandas as pd

    found = strips([1, 1, 0, 3], [2, 0, 1, 1])
    tracks = pd.DataFrame({"frame": [0, 0, 1, 1], "particle": [1, 3, 2, 1], "track": [5, 6, 6, 5]})
    assert (as_tracks(found, tracks) == strips([5, 5, 0, 6], [6, 0, 5, 5])).all()
