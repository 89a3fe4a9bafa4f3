import tempfile

import numpy as np
import pytest

from temlib.network import feature_cache, unet


@pytest.fixture(scope="module")
def encoder():
    return unet.encoder(None, 0.25)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


WINDOWS = np.random.default_rng(0).uniform(-1, 1, (11, 64, 64)).astype(np.float32)
BYTES = 2 * 11 * sum(c * (64 // s) ** 2 for c, s in zip((16, 32, 64, 128, 256), (2, 4, 8, 16, 32)))


@pytest.mark.parametrize(("memory", "in_a_file"), [(None, False), (BYTES, False), (BYTES - 1, True), (0, True)])
def test_features_are_those_of_the_encoder_wherever_they_lie(encoder, folder, memory, in_a_file):
    with feature_cache.cached_features(encoder, iter(WINDOWS), 11, memory, progress=False) as cached:
        direct = encoder(np.repeat(WINDOWS[..., None], 3, -1), training=False)
        assert [isinstance(array, np.memmap) for array in cached] == [in_a_file] * 5
        assert len(list(folder.glob("temlib-*/*"))) == 5 * in_a_file
        assert sum(array.nbytes for array in cached) == BYTES
        for a, b in zip(cached, direct):
            assert a.dtype == np.float16
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)
    assert not list(folder.glob("temlib-*"))


def fails(windows, inside=lambda cached: None):
    with feature_cache.cached_features(unet.encoder(None, 0.25), windows, 11, 0, progress=False) as cached:
        inside(cached)


def test_the_file_is_deleted_after_an_error(folder):
    def broken():
        yield from WINDOWS[:9]
        raise RuntimeError("in the middle")

    def inside(cached):
        assert cached[0].any()
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fails(broken())
    with pytest.raises(RuntimeError, match="in the middle"):
        fails(WINDOWS, inside)
    assert not list(folder.glob("temlib-*"))


def test_a_quarter_of_free_memory_is_the_default(encoder, folder, monkeypatch):
    for free, in_a_file in ((4 * BYTES, False), (4 * BYTES - 4, True)):
        monkeypatch.setattr(feature_cache, "free_memory", lambda free=free: free)
        with feature_cache.cached_features(encoder, WINDOWS, 11, progress=False) as cached:
            assert isinstance(cached[0], np.memmap) == in_a_file
