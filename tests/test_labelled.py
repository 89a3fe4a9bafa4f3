from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import temlib
import temlib.datasets
from temlib import synthetic
from temlib.network import bundled, labelled, unet
from temlib.network.augmentation import truth_maps
from temlib.network.labelled import Course, Lessons, Recipe
from temlib.network.weights import LABELLED
from temlib.particles.scores import iou
from temlib.reproduction.run_folder import MEASURED

SMALL = {
    "batch_size": 2,
    "window": 64,
    "views": 2,
    "micrographs": 5,
    "synthetic_views": 2,
    "simulated_views": 2,
    "no_micrographs": 2,
}


def one_micrograph(data, *splits):
    return temlib.datasets.load("simulated", ["simulated_0000"])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labelled, "of_split", one_micrograph)
        patch.setattr(labelled, "AVERAGED", 1)
        labelled.learn(folder, Recipe(**SMALL, courses=(Course(2, 4),), teacher=0.0), check_every=2)
        labelled.learn(folder, Recipe(**SMALL, courses=(Course(2, 4), Course(2, 2)), teacher=0.0), check_every=2)
    return folder


def test_training_goes_on_where_it_stopped(small):
    log = pd.read_csv(labelled.place(small, Recipe()) / "log.csv")
    assert list(log["step"]) == [2, 4]
    assert log["loss"].between(0, 5).all()
    best = temlib.load_segmenter(labelled.place(small, Recipe()) / "latest.keras")
    assert log["emps"].iloc[-1] == pytest.approx(bundled.score(best, one_micrograph("simulated")), abs=1e-4)
    start = temlib.load_segmenter("synthetic")
    assert best.scorer.digest() == start.scorer.digest()
    changed = [not np.array_equal(a, b) for a, b in zip(best.model.get_weights(), start.model.get_weights())]
    assert np.mean(changed) > 0.9  # encoder and decoder, both


def test_a_wider_network_begins_with_what_the_narrow_one_learned(tmp_path, monkeypatch):
    monkeypatch.setattr(labelled, "of_split", one_micrograph)
    recipe = Recipe(**SMALL, alpha=0.75, courses=(Course(1, 1),))
    wide = labelled.learn(tmp_path, recipe, check_every=1)
    others = [replace(recipe, alpha=0.5), replace(recipe, widths=(256, 128, 96, 64, 32)), recipe]
    assert len({labelled.place(tmp_path, each) for each in others}) == 3
    assert wide.model.count_params() > 1.5 * temlib.load_segmenter("synthetic").model.count_params()
    scene = synthetic.Scene(n_particles=20, diameter_nm=30, overlap=0, clustering=0)
    m = synthetic.simulate(scene, seed=77)
    assert iou(wide(m.image), m.mask) > 0.6


def test_a_narrower_network_is_refused_before_anything_is_written(tmp_path):
    for narrower in ({"alpha": 0.25}, {"widths": (64, 32, 24, 16, 8)}):
        with pytest.raises(ValueError, match="greater alpha or widths"):
            labelled.learn(tmp_path / "new", Recipe(**SMALL, **narrower))
    assert not (tmp_path / "new").exists()


def test_nothing_is_learned_from_what_is_scored(tmp_path, monkeypatch):
    asked = []

    def recorded(data, *splits):
        asked.append((data, splits))
        return one_micrograph(data)

    monkeypatch.setattr(labelled, "of_split", recorded)
    grey, truth = labelled.drawn_pool(tmp_path, Recipe(**SMALL))
    labelled.real_pool(tmp_path, Recipe(**SMALL))
    assert {splits for _, splits in asked} == {("train",)}
    assert {data for data, _ in asked} == {"emps", "simulated"}
    drawn = sum(round(share * 5) for _, share in labelled._KINDS.values())
    assert len(grey) == len(truth) == 2 * (drawn + 1 + 2)
    assert not truth[-4:].any()  # of what is no micrograph
    assert all(some[..., 0].any() for some in truth[-6:-4])  # of the micrograph of ``simulated``


def test_half_of_a_batch_is_real():
    real, drawn = ((np.full((8, 32, 32), 0.0, np.float16), np.full((8, 16, 16, 2), v, np.float16)) for v in (1, 0))
    grey, truth = Lessons(real, drawn).batch(Recipe(batch_size=4), step=1)
    assert grey.shape == (4, 32, 32, 1)
    assert truth[:, 0, 0, 0].tolist() == [1, 1, 0, 0]
    again, _ = Lessons(real, drawn).batch(Recipe(batch_size=4), step=1)
    np.testing.assert_array_equal(grey, again)


def test_the_last_course_leaves_out_what_is_no_micrograph():
    real = np.zeros((8, 32, 32), np.float16), np.zeros((8, 16, 16, 2), np.float16)
    drawn = np.zeros((8, 32, 32), np.float16), np.zeros((8, 16, 16, 2), np.float16)
    drawn[1][-4:] = 1
    recipe = Recipe(batch_size=4, courses=(Course(50, 50), Course(50, 50, False)), no_micrographs=2, synthetic_views=2)
    marked = [Lessons(real, drawn).batch(recipe, step)[1].any() for step in range(1, 101)]
    assert any(marked[:50])
    assert not any(marked[50:])


def test_the_teacher_counts_as_much_as_it_is_said(tmp_path, monkeypatch):
    class Unsure:
        def maps(self, image):
            return np.full((*image.data.shape, 2), 0.5, np.float32)

    monkeypatch.setattr(labelled, "of_split", one_micrograph)
    monkeypatch.setattr(labelled, "teacher", lambda folder, recipe: Unsure())
    alone = labelled.real_pool(tmp_path, Recipe(**SMALL, teacher=0.0))
    told = labelled.real_pool(tmp_path, Recipe(**SMALL, teacher=0.4))
    np.testing.assert_array_equal(alone[0], told[0])
    known = alone[1] >= 0
    np.testing.assert_allclose(told[1][known], 0.6 * alone[1][known] + 0.2, atol=2e-3)
    assert truth_maps(one_micrograph("")[0].labels).max() == 1


def test_both_networks_come_along_by_name():
    alone, taught = (temlib.load_segmenter(name) for name in ("synthetic", "labelled"))
    assert LABELLED.stat().st_size < 6e6
    assert alone.model.count_params() == taught.model.count_params()
    assert any(not np.array_equal(a, b) for a, b in zip(alone.model.get_weights(), taught.model.get_weights()))
    scene = synthetic.Scene(n_particles=20, diameter_nm=30, overlap=0, clustering=0)
    m = synthetic.simulate(scene, seed=77)
    assert iou(taught(m.image), m.mask) > 0.85
    assert taught.expected_iou(taught.probability(m.image)) > 0.6


def test_the_card_says_what_was_measured():
    table = pd.read_csv(MEASURED / "labelled.csv").fillna({"split": ""})
    segmenter = temlib.load_segmenter("labelled")
    text = LABELLED.with_name("CARD.md").read_text()
    assert text == labelled.card(segmenter, table)
    known = temlib.datasets.table("emps")
    articles = set(known.loc[known["split"] == "train", "group"])
    assert all(article in text.replace("\n", " ") for article in articles)
    assert not any(article in text for article in set(known.loc[known["split"] != "train", "group"]) - articles)


def test_it_is_better_on_other_articles():
    before, after = (
        pd.read_csv(MEASURED / f"{name}.csv").groupby(["data", "split"])["iou"].mean()
        for name in ("bundled", "labelled")
    )
    assert after["emps", "validation"] > before["emps", "validation"] + 0.03
    assert after["simulated", "validation"] > before["simulated", "validation"]
    assert after["emps", "test"] > before["emps", "test"]


def test_the_synthetic_network_is_what_encoders_are_taken_from():
    encoder, alone = unet.encoder("bundled"), temlib.load_segmenter("synthetic").model.get_layer("encoder")
    for a, b in zip(encoder.get_weights(), alone.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert bundled.Recipe().alpha == 0.5
