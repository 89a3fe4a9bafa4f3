import warnings

import numpy as np
import pytest

import temlib
from temlib.network import unet
from temlib.network.trust import Trust, agreement, contradiction
from temlib.particles.separation import relative_distance
from tests.conftest import disc


def test_agreement_is_the_expected_iou():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.3, 0.3, (400, 400))
    ious = []
    for _ in range(20):
        truth = rng.random(probability.shape) < probability
        mask = probability > 0.5
        ious.append((mask & truth).sum() / (mask | truth).sum())
    assert agreement(probability) == pytest.approx(np.mean(ious), abs=0.005)


def test_agreement_of_certainty_and_of_nothing():
    certain = np.zeros((8, 8))
    certain[2:5] = 1
    assert agreement(certain) == 1
    assert agreement(np.zeros((8, 8))) == agreement(np.full((8, 8), 0.4)) == 0


def test_calibration_rises_and_finds_the_curve():
    rng = np.random.default_rng(1)
    seen = rng.uniform(0.2, 1, 500)
    trust = Trust.calibrate(seen, seen**2 + rng.normal(0, 0.1, 500))
    assert (np.diff([trust(x) for x in np.linspace(0, 1, 50)]) >= -1e-6).all()
    for x in (0.3, 0.6, 0.9):
        assert trust(x) == pytest.approx(x**2, abs=0.06)
    assert trust(0) == trust.iou[0]
    assert Trust.from_dict(trust.to_dict()) == trust


def test_a_distance_that_is_the_masks_own_contradicts_nothing():
    mask = disc((60, 60), (30, 30), 20)
    maps = np.stack([mask, relative_distance(mask)], -1).astype(np.float32)
    assert contradiction(maps) == pytest.approx(0, abs=1e-6)
    maps[..., 1] = 0.25
    inside = relative_distance(mask)[mask]
    assert contradiction(maps) == pytest.approx(np.abs(inside - 0.25).mean(), abs=1e-6)
    assert contradiction(np.zeros((8, 8, 2))) == 0


def test_one_of_twenty_familiar_micrographs_is_called_unfamiliar():
    contradictions = np.linspace(0, 1, 401)
    trust = Trust.calibrate([0.0, 0.5, 1.0], [0.0, 0.5, 1.0], contradictions)
    assert (contradictions > trust.most).mean() == pytest.approx(0.05, abs=0.003)
    mask = np.ones((8, 8))
    sure_and_wrong = np.stack([mask, 0 * mask], -1)
    assert "contradict" in trust.warning(sure_and_wrong)
    assert trust.warning(np.stack([mask, mask], -1)) is None


@pytest.fixture(scope="module")
def untrained():
    encoder = unet.encoder(None, 0.25)
    decoder = unet.decoder([o.shape[-1] for o in encoder.outputs], (8, 8, 8, 8, 8))
    return temlib.Segmenter(unet.unet(encoder, decoder))


def test_a_segmenter_warns_of_a_mask_it_doubts(untrained, tmp_path):
    image = np.random.default_rng(0).normal(size=(64, 96))
    assert untrained.expected_iou(untrained.probability(image)) is None
    untrained.trust = Trust((0.0, 1.0), (0.0, 0.4))
    with pytest.warns(UserWarning, match="expect an IoU of 0"):
        untrained(image)
    again = temlib.load_segmenter(untrained.save(tmp_path / "a.keras"))
    assert again.trust == untrained.trust
    again.trust = Trust((0.0, 1.0), (0.6, 0.9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again(image)
