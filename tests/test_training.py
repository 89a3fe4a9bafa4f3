import json
import zipfile

import numpy as np
import pytest

import temlib
from temlib import training
from temlib.micrographs import GreyLevels, micrograph
from temlib.scores import iou
from temlib.segmentation import to_working_size

QUICK = {"weights": None, "alpha": 0.25, "working_size": 96, "views": 4, "batch_size": 4, "progress": False}


@pytest.fixture(scope="module")
def trained(dark_discs):
    images, masks = dark_discs
    return temlib.train_segmenter(images[:3], masks[:3], validation=(images[3:], masks[3:]), epochs=30, seed=3, **QUICK)


def test_a_segmenter_learns_dark_discs_on_a_frozen_encoder(trained, dark_discs):
    images, masks = dark_discs
    assert iou(trained(images[3]), masks[3]) > 0.75
    assert trained.history[-1]["loss"] < trained.history[0]["loss"] / 2
    assert len(trained.history) == 30
    assert 0 <= trained.history[-1]["validation_iou"] <= 1


def test_signals_give_signals_and_arrays_arrays(trained, dark_discs):
    image = dark_discs[0][1]
    mask, probability = trained(image), trained.probability(image)
    assert mask.data.dtype == bool
    assert temlib.pixel_size_of(mask) == temlib.pixel_size_of(probability) == (0.5, 0.5)
    assert mask.data.shape == image.data.shape
    np.testing.assert_array_equal(trained(image.data), mask.data)
    np.testing.assert_array_equal(probability.data > 0.5, mask.data)


@pytest.mark.parametrize("shape", [(20, 31), (96, 96), (97, 300), (400, 130)])
def test_masks_have_the_shape_of_any_image(trained, shape):
    assert trained(np.random.default_rng(0).normal(size=shape)).shape == shape


def test_gain_and_offset_do_not_matter(trained, dark_discs):
    image = dark_discs[0][0].data
    np.testing.assert_allclose(trained.probability(3 * image - 5000), trained.probability(image), atol=1e-3)


def test_save_and_load_give_the_same_predictions(trained, dark_discs, tmp_path):
    path = trained.save(tmp_path / "model.keras")
    loaded = temlib.load_segmenter(path)
    np.testing.assert_array_equal(loaded.probability(dark_discs[0][3].data), trained.probability(dark_discs[0][3].data))
    assert (loaded.levels, loaded.working_size, loaded.history) == (trained.levels, 96, trained.history)
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]
    with pytest.raises(temlib.TemlibError, match="overwrite=True"):
        trained.save(path)
    with pytest.raises(temlib.TemlibError, match=r"ends in \.keras"):
        trained.save(tmp_path / "model.h5")


def test_grey_levels_travel_with_the_segmenter(trained, tmp_path):
    levels = GreyLevels(5, 95)
    other = temlib.Segmenter(trained.model, 96, levels)
    assert temlib.load_segmenter(other.save(tmp_path / "a.keras")).levels == levels


def test_files_that_are_no_segmenter_are_refused(trained, tmp_path):
    with pytest.raises(temlib.TemlibError, match="no such segmenter"):
        temlib.load_segmenter(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("hello")
    trained.model.save(tmp_path / "plain.keras")
    for name in ("text", "plain"):
        with pytest.raises(temlib.TemlibError, match="no segmenter saved by temlib") as caught:
            temlib.load_segmenter(tmp_path / f"{name}.keras")
        assert "\n" not in str(caught.value)


def test_a_file_with_code_in_it_is_not_run(trained, tmp_path):
    import keras

    image = keras.Input((None, None, 1))
    evil = keras.Model(image, keras.layers.Lambda(lambda x: x)(image))
    evil.save(tmp_path / "evil.keras")
    with zipfile.ZipFile(tmp_path / "evil.keras", "a") as archive:
        archive.writestr("temlib.json", json.dumps({"levels": GreyLevels().to_dict()}))
    with pytest.raises(temlib.TemlibError, match="no segmenter saved by temlib"):
        temlib.load_segmenter(tmp_path / "evil.keras")


def test_the_encoder_does_not_change_in_training(trained):
    from temlib import unet

    seed = np.random.SeedSequence(3).generate_state(4).tolist()[1]
    fresh = unet.encoder(None, 0.25, seed)
    for a, b in zip(fresh.get_weights(), trained.model.get_layer("encoder").get_weights()):
        np.testing.assert_array_equal(a, b)


def test_same_seed_same_segmenter(dark_discs):
    images, masks = dark_discs
    runs = [temlib.train_segmenter(images[:1], masks[:1], epochs=2, seed=s, **QUICK) for s in (5, 5, 6)]
    first, again, other = (run.probability(images[1].data) for run in runs)
    np.testing.assert_allclose(first, again, atol=1e-4)
    assert np.abs(first - other).max() > 1e-3


def test_cached_features_are_those_of_the_encoder():
    from temlib import unet

    encoder = unet.encoder(None, 0.25)
    grey = np.random.default_rng(0).uniform(-1, 1, (5, 64, 64)).astype(np.float32)
    cached = training._features(encoder, grey, progress=False, batch=2)
    direct = encoder(np.repeat(grey[..., None], 3, -1), training=False)
    for a, b in zip(cached, direct):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-3)


def test_views_turn_image_and_mask_together():
    rng = np.random.default_rng(0)
    mask = rng.random((64, 64)) < 0.5
    grey, truth = training._views([np.where(mask, 0.0, 1.0)], [mask], 8, 64, GreyLevels(0, 100), seed=1)
    assert grey.shape == truth.shape == (8, 64, 64)
    assert len({t.tobytes() for t in truth}) == 8
    for g, t in zip(grey, truth):
        assert np.corrcoef(g.ravel(), t.ravel())[0, 1] < -0.95


def test_loss_is_nearly_zero_for_a_perfect_prediction_and_large_for_its_opposite():
    truth = np.zeros((2, 16, 16, 1), np.uint8)
    truth[:, :8] = 1
    perfect = np.clip(truth.astype(np.float32), 1e-6, 1 - 1e-6)
    assert float(training.cross_entropy_and_dice(truth, perfect)) < 0.01
    assert float(training.cross_entropy_and_dice(truth, 1 - perfect)) > 10
    assert float(training.cross_entropy_and_dice(0 * truth, 0 * perfect)) < 0.01


@pytest.mark.parametrize("shape", [(512, 512), (515, 1088), (100, 40)])
def test_working_size_keeps_proportions(shape):
    small = to_working_size(np.zeros(shape, np.float32), 256)
    assert min(small.shape) == 256
    assert small.shape[0] / small.shape[1] == pytest.approx(shape[0] / shape[1], rel=0.01)


def test_what_does_not_belong_together_is_refused(dark_discs):
    images, masks = dark_discs
    with pytest.raises(ValueError, match="no training images"):
        temlib.train_segmenter([], [], weights=None)
    with pytest.raises(ValueError, match="4 images and 1 masks"):
        temlib.train_segmenter(images, masks[:1], weights=None)
    with pytest.raises(ValueError, match="image 0"):
        temlib.train_segmenter(images[:1], masks[1:2], weights=None)
    with pytest.raises(ValueError, match="multiple of 32"):
        temlib.train_segmenter(images, masks, weights=None, working_size=100)


@pytest.mark.filterwarnings("error::UserWarning")
def test_images_of_any_kind_train_together_and_in_silence(dark_discs):
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 255, (40, 70), dtype=np.uint8),
        micrograph(rng.normal(size=(130, 100)), 2),
        dark_discs[0][0],
    ]
    masks = [images[0] > 128, micrograph((images[1].data > 0).astype(np.uint8)), dark_discs[1][0]]
    segmenter = temlib.train_segmenter(images, masks, epochs=1, **QUICK)
    assert segmenter(images[0]).shape == (40, 70)
