import numpy as np
import pandas as pd
import pytest

import temlib
import temlib.datasets
from temlib import pretraining
from temlib.pretraining import Recipe


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    recipe = Recipe(steps=4, batch_size=2, alpha=0.25, widths=(8, 8, 8, 8, 8), window=64, micrographs=3, views=2)
    folder = tmp_path_factory.mktemp("pretraining")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            pretraining, "of_split", lambda data, split: temlib.datasets.load("simulated", ["simulated_0000"])
        )
        pretraining.pretrain(folder, Recipe(**{**vars(recipe), "steps": 2}), check_every=2)
        pretraining.pretrain(folder, recipe, check_every=2)
    return folder


def test_training_goes_on_where_it_stopped(small):
    log = pd.read_csv(small / "log.csv")
    assert list(log["step"]) == [2, 4]
    assert log["loss"].between(0.5, 5).all()
    assert temlib.load_segmenter(small / "best.keras").model.count_params() > 0


def test_the_encoder_learns_too():
    learner = pretraining.network(Recipe(alpha=0.25, widths=(8, 8, 8, 8, 8)))[-1]
    before = [w.copy() for w in learner.get_weights()]
    x = np.random.default_rng(0).normal(size=(2, 64, 64, 1)).astype(np.float32)
    learner.train_on_batch(x, np.zeros((2, 32, 32, 2), np.float32))
    changed = [not np.array_equal(a, b) for a, b in zip(before, learner.get_weights())]
    assert np.mean(changed) > 0.9  # relu lets a few rest


def test_half_precision_is_read_as_the_same_network(small, tmp_path):
    pretraining.halve_precision(small / "best.keras", tmp_path / "half.keras")
    assert (tmp_path / "half.keras").stat().st_size < 0.7 * (small / "best.keras").stat().st_size
    full, half = (temlib.load_segmenter(path) for path in (small / "best.keras", tmp_path / "half.keras"))
    for a, b in zip(full.model.get_weights(), half.model.get_weights()):
        assert b.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    assert half.history == full.history
