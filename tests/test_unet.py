from dataclasses import replace

import numpy as np
import pytest

import temlib
from temlib.errors import WeightsError
from temlib.network import bundled, unet
from temlib.network.weights import resolve_weights


@pytest.fixture(scope="module")
def random_encoder():
    return unet.encoder(None, alpha=0.25, seed=1)


def test_skips_have_strides_2_to_32(random_encoder):
    maps = random_encoder(np.zeros((1, 64, 96, 3), np.float32))
    assert [tuple(m.shape[1:3]) for m in maps] == [(64 // s, 96 // s) for s in (2, 4, 8, 16, 32)]
    assert [m.shape[-1] for m in maps] == [16, 32, 64, 128, 256]


def test_the_encoder_is_frozen_and_in_inference_mode(random_encoder):
    assert random_encoder.trainable_weights == []
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    before = [w.copy() for w in random_encoder.get_weights()]
    training, inference = random_encoder(x, training=True), random_encoder(x, training=False)
    for a, b in zip(training, inference):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(before, random_encoder.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_same_seed_same_random_weights(random_encoder):
    again, other = unet.encoder(None, 0.25, seed=1), unet.encoder(None, 0.25, seed=2)
    for a, b in zip(random_encoder.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert any(np.any(a != b) for a, b in zip(random_encoder.get_weights(), other.get_weights()))


def test_the_decoder_is_seeded_and_its_batch_normalisation_fast():
    first, second = unet.decoder((16, 32, 64, 128, 256), seed=4), unet.decoder((16, 32, 64, 128, 256), seed=4)
    for a, b in zip(first.get_weights(), second.get_weights()):
        np.testing.assert_array_equal(a, b)
    momenta = {layer.momentum for layer in first.layers if "batch_normalization" in layer.name}
    assert momenta == {0.9}


def test_the_network_gives_two_maps_at_half_the_resolution(random_encoder):
    model = unet.unet(random_encoder, unet.decoder([m.shape[-1] for m in random_encoder.outputs]))
    maps = np.asarray(model(np.random.default_rng(0).uniform(-1, 1, (2, 64, 96, 1)).astype(np.float32)))
    assert maps.shape == (2, 32, 48, 2)
    assert 0 <= maps.min() < maps.max() <= 1


def test_imagenet_weights_from_the_keras_3_file(imagenet, offline):
    assert resolve_weights("imagenet") == imagenet
    model = unet.encoder("imagenet")
    # The published first kernel and its batch normalisation make edges: no output is constant.
    x = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    assert all(np.asarray(m).std() > 0.1 for m in model(x))
    for a, b in zip(model.get_weights(), unet.encoder(imagenet).get_weights()):
        np.testing.assert_array_equal(a, b)


def test_weights_from_the_legacy_file(legacy_weights, offline):
    by_path, by_name = unet.encoder(legacy_weights), unet.encoder("imagenet", alpha=0.25)
    assert [m.shape[-1] for m in by_path.outputs] == [16, 32, 64, 128, 256]
    for a, b in zip(by_path.get_weights(), by_name.get_weights()):
        np.testing.assert_array_equal(a, b)
    import h5py

    with h5py.File(legacy_weights) as file:
        np.testing.assert_array_equal(by_path.get_layer("conv1").get_weights()[0], file["conv1/conv1/kernel:0"])


def test_wrong_alpha_is_named(legacy_weights):
    with pytest.raises(WeightsError, match=r"alpha=0\.25, not 1\.0"):
        unet.encoder(legacy_weights, alpha=1.0)


def test_without_a_network_the_ways_out_are_named(offline, monkeypatch, tmp_path):
    import keras

    monkeypatch.setenv("TEMLIB_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(keras.config, "keras_home", lambda: str(tmp_path), raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        unet.encoder("imagenet", alpha=0.5)
    message = str(caught.value)
    assert "\n" not in message
    for word in (
        "mobilenet_0.5_224",
        "mobilenet_5_0_224_tf_no_top.h5",
        "Keras's download",
        "TEMLIB_WEIGHTS",
        "weights=None",
    ):
        assert word in message


def test_alphas_of_which_there_are_no_weights_are_refused():
    with pytest.raises(WeightsError, match=r"alpha=0\.3"):
        resolve_weights("imagenet", alpha=0.3)


def test_files_that_hold_no_mobilenet_are_refused(tmp_path):
    import h5py

    with pytest.raises(WeightsError, match="no such weights file"):
        unet.encoder(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(WeightsError, match="no weights file of a MobileNet"):
        unet.encoder(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["dense/kernel:0"] = np.zeros(3)
    with pytest.raises(WeightsError, match="no weights file of a MobileNet"):
        unet.encoder(tmp_path / "other.h5")
    (tmp_path / "a.pt").write_bytes(b"")
    with pytest.raises(WeightsError, match="no file of weights"):
        unet.encoder(tmp_path / "a.pt")


def test_legacy_weights_of_another_network_are_refused(tmp_path):
    """Keras matches legacy layers by order, whatever their names."""
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["conv1/conv1/kernel:0"] = np.zeros((3, 3, 3, 8), np.float32)
        file.attrs["layer_names"] = [b"conv1", b"some_other_layer"]
    with pytest.raises(WeightsError, match="does not fit MobileNet v1"):
        unet.encoder(tmp_path / "other.h5")


def test_weights_that_are_not_finite_or_incomplete_are_refused(tmp_path):
    import keras

    full = keras.applications.MobileNet(input_shape=(None, None, 3), alpha=0.25, include_top=False, weights=None)
    truncated = keras.Model(full.input, full.get_layer("conv_pw_12_relu").output)
    arrays = truncated.get_weights()
    arrays[-1] = np.full_like(arrays[-1], np.nan)
    truncated.set_weights(arrays)
    truncated.save_weights(tmp_path / "nan.weights.h5")
    with pytest.raises(WeightsError, match="not finite"):
        unet.encoder(tmp_path / "nan.weights.h5")
    shorter = keras.Model(full.input, full.get_layer("conv_pw_6_relu").output)
    shorter.save_weights(tmp_path / "short.weights.h5")
    with pytest.raises(WeightsError, match="does not fit"):
        unet.encoder(tmp_path / "short.weights.h5")


@pytest.mark.parametrize(("alpha", "times"), [(0.5, 1), (0.75, 1), (1.0, 1), (0.5, 2)])
def test_a_widened_network_says_what_the_narrow_one_says(alpha, times):
    narrow = temlib.load_segmenter("synthetic", "keras").model
    widths = tuple(times * width for width in unet.WIDTHS)
    encoder, decoder, _ = bundled.network(replace(bundled.Recipe(), alpha=alpha, widths=widths))
    wide = unet.unet(encoder, decoder)
    unet.widen(narrow, wide)
    image = np.random.default_rng(4).normal(size=(1, 96, 96, 1)).astype(np.float32)
    np.testing.assert_allclose(wide.predict(image, verbose=0), narrow.predict(image, verbose=0), atol=1e-5)
    unet.widen(narrow, wide, noise=0.1, seed=1)
    differs = np.abs(wide.predict(image, verbose=0) - narrow.predict(image, verbose=0)).max() > 1e-3
    assert differs == (alpha > 0.5 or times > 1), "noise is for what was copied"
