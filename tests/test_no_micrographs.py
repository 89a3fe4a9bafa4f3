import numpy as np
import pytest

from temlib.synthetic.no_micrographs import KINDS, no_micrograph


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_drawn_anew_and_is_not_flat(kind):
    one, same, other = (KINDS[kind](96, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (96, 96)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 0.02
    assert one.std() > 0.03


def test_a_picture_is_of_any_kind_and_in_range():
    rng = np.random.default_rng(3)
    pictures = [no_micrograph(64, rng) for _ in range(20)]
    assert all(p.shape == (64, 64) and p.dtype == np.float32 for p in pictures)
    assert all(p.min() >= 0 and p.max() <= 1 and p.std() > 0.01 for p in pictures)
    assert len({p.tobytes() for p in pictures}) == 20
    np.testing.assert_array_equal(
        no_micrograph(64, np.random.default_rng(5)), no_micrograph(64, np.random.default_rng(5))
    )


def test_clouds_have_the_amplitudes_they_are_drawn_with():
    rng = np.random.default_rng(4)
    ratios = []
    for slope in (1.0, 2.0):
        spectrum = np.abs(np.fft.rfft2(KINDS["clouds"](256, rng, slope, 1.0))) ** 2
        frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None])
        low, high = (np.sqrt(spectrum[np.abs(np.log(frequency + 1e-9) - np.log(f)) < 0.1].mean()) for f in (0.05, 0.2))
        ratios.append(np.log(low / high) / np.log(4))
    assert ratios == pytest.approx([1.0, 2.0], abs=0.15)


def test_pages_bear_letters_that_are_dark():
    page = KINDS["page"](256, np.random.default_rng(6))
    ink = page <= 0.1
    assert 0.03 < ink.mean() < 0.5
    assert ink.any(1).mean() < 0.95  # lines, with paper between them
