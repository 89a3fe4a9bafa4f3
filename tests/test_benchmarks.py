"""What the benchmarks share."""

import numpy as np
import pytest

from temlib.scores import iou
from tests.benchmarks.label_noise import WAYS
from tests.benchmarks.resumable import Results
from tests.conftest import disc


def test_a_rerun_goes_on_where_the_last_one_stopped(tmp_path):
    path = tmp_path / "results.csv"
    first = Results(path, ("way", "seed"))
    assert not first.has("a", 1)
    first.add([{"way": "a", "seed": 1, "iou": 0.123456}])
    first.add([{"way": "a", "seed": 2, "iou": 0.5}, {"way": "a", "seed": 2, "iou": 0.6}])
    again = Results(path, ("way", "seed"))
    assert [again.has(*key) for key in (("a", 1), ("a", 2), ("b", 1), ("a", 3))] == [True, True, False, False]
    assert again.table["iou"].tolist() == [0.1235, 0.5, 0.6]
    again.forget(again.table["seed"] == 2)
    assert not again.has("a", 2)
    again.add([{"way": "b", "seed": 1, "iou": 1.0}])
    assert Results(path, ("way", "seed")).table["way"].tolist() == ["a", "b"]
    assert [file.name for file in tmp_path.iterdir()] == ["results.csv"]


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"exact"}))
def test_labels_are_spoilt_more_the_stronger(way):
    labels = np.zeros((160, 200), np.int32)
    for number, centre in enumerate([(30, 30), (30, 100), (90, 40), (120, 160), (40, 160)], 1):
        labels[disc(labels.shape, centre, 16)] = number
    spoil, strengths = WAYS[way]
    kept = [iou(spoil(labels, s, np.random.default_rng(4)), labels > 0) for s in (0, *strengths)]
    assert kept[0] == 1
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 0.8
    spoilt = spoil(labels, strengths[-1], np.random.default_rng(4))
    assert np.array_equal(spoilt, spoil(labels, strengths[-1], np.random.default_rng(4)))
    if way in ("missed particles", "eroded"):
        assert not np.any(spoilt & (labels == 0))
    if way in ("false particles", "dilated"):
        assert np.all(spoilt[labels > 0])
