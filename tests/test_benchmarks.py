"""What the benchmarks share."""

from types import SimpleNamespace

import numpy as np
import pytest

from temlib.files.micrographs import micrograph
from temlib.network.augmentation import IGNORED
from temlib.particles.scores import iou
from tests.benchmarks import baselines, corrected, default, fine_tuning, mixing, own_scribbles
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
    for number, centre in enumerate([(30, 30), (30, 100), (90, 40), (120, 160), (40, 160)], 3):
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


@pytest.mark.parametrize(("way", "share"), [("ML labels", 1), ("synthetic", 0), ("both", 0.5), ("mostly ML", 0.75)])
def test_mixtures_have_one_size_and_the_share_that_they_say(monkeypatch, way, share):
    monkeypatch.setattr(
        mixing, "material", lambda seed: {"ML": (["ml"] * 24, [1] * 24), "synthetic": (["s"] * 96, [0] * 96)}
    )
    images, masks = mixing.mixture(mixing.SHARES.get(way, 0.5), seed=1)
    assert len(images) == mixing.WINDOWS
    assert images.count("ml") == sum(masks) == share * mixing.WINDOWS


def test_the_second_network_changes_ml_labels_only_where_it_is_sure_and_of_another_mind(monkeypatch):
    mask = disc((40, 40), (20, 20), 10)
    says = np.where(mask, 0.95, 0.05)
    says[20, 20], says[20, 21], says[0, 0], says[0, 1] = 0.02, 0.2, 0.97, 0.8  # sure twice, unsure twice
    monkeypatch.setattr(mixing, "opinion", lambda *_: says)
    as_it_is = mixing.changed("both", None, mask, 1)[..., 0]
    cleaned = mixing.changed("both, ML cleaned", None, mask, 1)[..., 0]
    doubted = mixing.changed("both, ML doubted", None, mask, 1)[..., 0]
    assert np.array_equal(as_it_is > 0, mask)
    assert np.argwhere(cleaned != as_it_is).tolist() == [[0, 0], [20, 20]]
    assert (cleaned[0, 0], cleaned[20, 20]) == (1, 0)
    assert np.argwhere(doubted != as_it_is).tolist() == [[0, 0], [20, 20]]
    assert np.all(doubted[[0, 20], [0, 20]] == IGNORED)


def test_ignored_boundaries_of_ml_labels_are_four_pixels_wide():
    mask = np.zeros((20, 20), bool)
    mask[:, 10:] = True
    row = mixing.changed("both, ML boundaries ignored", None, mask, 1)[10, :, 0]
    assert np.flatnonzero(row == IGNORED).tolist() == [8, 9, 10, 11]
    smoothed = mixing.changed("both, ML smoothed", None, mask, 1)[..., 0]
    assert np.unique(smoothed).tolist() == pytest.approx([0.05, 0.95])


@pytest.mark.parametrize("source", baselines.SOURCES)
def test_baselines_learn_from_the_same_windows(monkeypatch, source):
    names = {kind: [f"{kind} {i}" for i in range(96)] for kind in ("hand", "ML", "synthetic")}
    monkeypatch.setattr(mixing, "material", lambda seed: {kind: (some, some) for kind, some in names.items()})
    images, masks = baselines.pairs(source, seed=1)
    assert images == masks == baselines.pairs(source, seed=1)[0]
    assert len(images) == baselines.WINDOWS
    counts = {name: images.count(name) for name in images}
    if source == baselines.SOURCES[0]:
        assert len(counts) == 20
        assert set(counts.values()) == {8}
    else:
        assert {name: n for name, n in counts.items() if "ML" in name} == {f"ML {i}": 4 for i in range(20)}
        assert sum(n for name, n in counts.items() if "synthetic" in name) == baselines.WINDOWS // 2


def test_strokes_on_a_clear_micrograph_give_its_particles():
    labels = np.zeros((120, 120), np.int32)
    for number, centre in enumerate([(30, 30), (80, 40), (60, 90)], 1):
        labels[disc(labels.shape, centre, 15)] = number
    grey = 100.0 - 50 * (labels > 0) + np.random.default_rng(0).normal(size=labels.shape)
    clear = SimpleNamespace(name="discs", image=micrograph(grey), labels=micrograph(labels), mask=labels > 0)
    rows = own_scribbles.rows_of("drawn", clear, 0, seed=1)
    assert [row["classifier"] for row in rows] == list(own_scribbles.CLASSIFIERS)
    assert all(row["iou"] > 0.9 for row in rows)
    assert rows == own_scribbles.rows_of("drawn", clear, 0, seed=1)


@pytest.mark.parametrize(("n", "deciding"), [(2, 1), (5, 1), (20, 4), (100, 20)])
def test_a_fifth_of_the_labels_decides_and_is_not_learned_from(n, deciding):
    learned, decides = fine_tuning.first_fifth_decides((list(range(n)), list(range(n))))
    assert [len(part) for part in decides] == [deciding, deciding]
    assert sorted(learned[0] + decides[0]) == list(range(n))
    assert learned[0] == learned[1]


def test_what_decides_a_baseline_is_not_learned_from_in_any_window():
    some = [f"image {i}" for i in range(7)]
    images = [some[i % 7] for i in range(50)]
    (learned, masks), (deciding, truth) = baselines.first_few_decide(images, images)
    assert deciding == truth == some[: baselines.HELD_BACK]
    assert set(learned) == set(some[baselines.HELD_BACK :])
    assert learned == masks == [image for image in images if image not in deciding]


def test_what_a_variation_of_the_default_replaces_is_there():
    for name, (where, what, _) in default.PATCHES.items():
        assert name in default.SETTINGS
        assert callable(getattr(where, what))


def test_each_wrong_pixel_is_of_one_kind():
    y, x = np.mgrid[:100, :100]
    truth = np.where(np.hypot(y - 30, x - 30) < 15, 1, 2 * (np.hypot(y - 70, x - 70) < 15))
    label = truth == 1
    label[29:32, 29:32] = False
    label[80:95, 10:30] = True
    kinds = corrected.kinds_of(label, truth)
    np.testing.assert_array_equal(sum(each.astype(int) for each in kinds.values()), label != (truth > 0))
    sizes = {kind: int(each.sum()) for kind, each in kinds.items()}
    assert sizes["speck, hole"] == 9
    assert sizes["false particle"] == 300
    assert sizes["edge"] + sizes["missed particle"] == (truth == 2).sum()
