import warnings

import numpy as np
import pytest

import temlib
from temlib import unet
from temlib.trust import Trust, agreement


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
    assert Trust(**{k: tuple(v) for k, v in trust.to_dict().items()}) == trust


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
