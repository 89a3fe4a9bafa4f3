import numpy as np
import pandas as pd
import pytest

import temlib
import temlib.datasets
from temlib import synthetic
from temlib.network import bundled, unet
from temlib.network.bundled import Recipe
from temlib.network.bundled_scorer import LEAST
from temlib.network.segmenter import carried_scorer
from temlib.network.weights import BUNDLED
from temlib.particles.scores import iou
from temlib.reproduction.run_folder import MEASURED


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    recipe = Recipe(steps=4, batch_size=2, alpha=0.25, widths=(8, 8, 8, 8, 8), window=64, micrographs=3, views=2)
    folder = tmp_path_factory.mktemp("pretraining")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundled, "of_split", lambda data, *splits: temlib.datasets.load("simulated", ["simulated_0000"]))
        bundled.pretrain(folder, Recipe(**{**vars(recipe), "steps": 2}), check_every=2)
        bundled.pretrain(folder, recipe, check_every=2)
    return folder


def test_training_goes_on_where_it_stopped(small):
    log = pd.read_csv(small / "log.csv")
    assert list(log["step"]) == [2, 4]
    assert log["loss"].between(0.5, 5).all()
    assert temlib.load_segmenter(small / "best.keras").model.count_params() > 0


def test_training_that_is_done_gives_the_best_state_again(small, monkeypatch):
    monkeypatch.setattr(
        bundled, "of_split", lambda data, *splits: temlib.datasets.load("simulated", ["simulated_0000"])
    )
    recipe = Recipe(steps=4, batch_size=2, alpha=0.25, widths=(8, 8, 8, 8, 8), window=64, micrographs=3, views=2)
    again = bundled.pretrain(small, recipe, check_every=2).model.get_weights()
    for kept, given in zip(temlib.load_segmenter(small / "best.keras").model.get_weights(), again, strict=True):
        np.testing.assert_array_equal(kept, given)


def test_the_encoder_learns_too():
    learner = bundled.network(Recipe(alpha=0.25, widths=(8, 8, 8, 8, 8)))[-1]
    before = [w.copy() for w in learner.get_weights()]
    x = np.random.default_rng(0).normal(size=(2, 64, 64, 1)).astype(np.float32)
    learner.train_on_batch(x, np.zeros((2, 32, 32, 2), np.float32))
    changed = [not np.array_equal(a, b) for a, b in zip(before, learner.get_weights())]
    assert np.mean(changed) > 0.9  # relu lets a few rest


def test_half_precision_is_read_as_the_same_network(small, tmp_path):
    bundled.halve_precision(small / "best.keras", tmp_path / "half.keras")
    assert (tmp_path / "half.keras").stat().st_size < 0.7 * (small / "best.keras").stat().st_size
    full, half = (temlib.load_segmenter(path) for path in (small / "best.keras", tmp_path / "half.keras"))
    for a, b in zip(full.model.get_weights(), half.model.get_weights()):
        assert b.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    assert half.history == full.history


def test_the_card_says_what_was_measured():
    table = pd.read_csv(MEASURED / "bundled.csv").fillna({"split": ""})
    segmenter = temlib.load_segmenter("synthetic")
    text = BUNDLED.with_name("CARD.md").read_text()
    assert text == bundled.card(segmenter, table)
    mean = table.query("data == 'emps' and split == 'test'")["iou"].mean()
    assert f"| emps, test | 11 | {mean:.2f} (" in text
    assert f"{segmenter.model.count_params():,} parameters" in text


def test_the_bundled_segmenter_is_small_and_segments_what_it_has_never_seen():
    assert BUNDLED.stat().st_size < 8e6
    segmenter = temlib.load_segmenter("synthetic")
    scene = synthetic.Scene(n_particles=20, diameter_nm=30, overlap=0, clustering=0)
    m = synthetic.simulate(scene, seed=77)
    assert iou(segmenter(m.image), m.mask) > 0.85
    assert segmenter.expected_iou(segmenter.probability(m.image)) > 0.7
    encoder = unet.encoder("bundled")
    assert not encoder.trainable
    for a, b in zip(encoder.get_weights(), segmenter.model.get_layer("encoder").get_weights()):
        np.testing.assert_array_equal(a, b)


def test_noise_is_not_trusted():
    segmenter = temlib.load_segmenter("synthetic")
    noise = np.random.default_rng(0).normal(size=(256, 256))
    assert segmenter.expected_iou(segmenter.probability(noise)) < 0.5


def test_a_starry_sky_is_no_micrograph():
    segmenter = temlib.load_segmenter("synthetic")
    with pytest.warns(UserWarning, match="this image: unlike .* two outputs contradict each other"):
        segmenter(bundled.pictures()["hubble_deep_field"])


def test_the_bundled_scorer_has_the_bound_of_its_recipe():
    assert carried_scorer().least == pytest.approx(LEAST)
