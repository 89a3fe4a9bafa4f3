import json
import zipfile
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

import temlib
from temlib.files.grey_levels import GreyLevels
from temlib.files.micrographs import micrograph
from temlib.network import learning, training
from temlib.network.augmentation import IGNORED, scale_for, truth_maps
from temlib.network.finding import auto_scales
from temlib.particles.scores import iou

QUICK = {
    "weights": None,
    "alpha": 0.25,
    "target_size": 24,
    "window": 96,
    "views": 4,
    "batch_size": 4,
    "decoders": 2,
    "progress": False,
}
ONE = QUICK | {"decoders": 1}


@pytest.fixture(scope="module")
def losses():
    """Fill with the loss of each step by which ``trained`` learned."""
    return []


@pytest.fixture(scope="module")
def trained(dark_discs, losses):
    import keras

    images, masks = dark_discs
    held_out, step = (images[3:], masks[3:]), keras.Model.train_on_batch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "train_on_batch", lambda *a, **k: losses.append(step(*a, **k)) or losses[-1])
        return temlib.train_segmenter(images[:3], masks[:3], validation=held_out, epochs=30, seed=3, **QUICK)


@pytest.fixture(scope="module")
def one(dark_discs):
    """A segmenter of one decoder, after two epochs."""
    images, masks = dark_discs
    return temlib.train_segmenter(images[:2], masks[:2], epochs=2, seed=5, **ONE)


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    return trained.save(tmp_path_factory.mktemp("saved") / "model.keras")


@pytest.fixture(scope="module")
def smallest():
    """The smallest network that a file of temlib may hold: one convolution."""
    import keras

    image = keras.Input((None, None, 1))
    return keras.Model(image, keras.layers.Conv2D(2, 2, strides=2, activation="sigmoid")(image))


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


def test_save_and_load_give_the_same_predictions(trained, saved, dark_discs, tmp_path):
    loaded = temlib.load_segmenter(saved, "keras")
    np.testing.assert_array_equal(loaded.probability(dark_discs[0][3].data), trained.probability(dark_discs[0][3].data))
    for name in ("levels", "particle_size", "pixel_size_nm", "threshold", "history"):
        assert getattr(loaded, name) == getattr(trained, name)
    assert [file.name for file in saved.parent.iterdir()] == ["model.keras"]
    with pytest.raises(temlib.TemlibError, match="overwrite=True"):
        trained.save(saved)
    with pytest.raises(temlib.TemlibError, match=r"ends in \.keras"):
        trained.save(tmp_path / "model.h5")


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
    from temlib.network import unet

    seed = np.random.SeedSequence(3).generate_state(4).tolist()[1]
    fresh = unet.encoder(None, 0.25, seed)
    for a, b in zip(fresh.get_weights(), trained.model.get_layer("encoder").get_weights()):
        np.testing.assert_array_equal(a, b)


def test_same_seed_same_segmenter_also_when_features_lie_in_a_file(one, dark_discs):
    images, masks = dark_discs
    again = temlib.train_segmenter(images[:2], masks[:2], epochs=2, seed=5, cache_memory=0, **ONE)
    other = temlib.train_segmenter(images[:2], masks[:2], epochs=2, seed=6, **ONE)
    first, again, other = (run.probability(images[3].data) for run in (one, again, other))
    np.testing.assert_allclose(first, again, atol=1e-4)
    assert np.abs(first - other).max() > 1e-3


def spoil(team, *_given, **_options):
    """Teach decoders nothing but to find nothing."""
    for decoder in team:
        decoder.set_weights([0 * array for array in decoder.get_weights()])


def test_adapting_is_never_worse_on_what_it_is_given_and_leaves_the_rest_alone(trained, dark_discs, monkeypatch):
    images, masks = dark_discs
    bright = [-image.data for image in images[:2]]
    kept = trained.model.get_weights()
    before = np.mean([iou(trained(i), m) for i, m in zip(bright, masks)])
    adapted = trained.adapt(bright, masks[:2], window=96, views=4, epochs=30, learning_rate=5e-3, progress=False)
    assert np.mean([iou(adapted(i), m) for i, m in zip(bright, masks)]) > before
    for a, b in zip(kept, trained.model.get_weights()):
        np.testing.assert_array_equal(a, b)
    for part in (trained, adapted):
        np.testing.assert_array_equal(part.model.get_layer("encoder").get_weights()[0], kept[0])
    monkeypatch.setattr(learning, "teach", spoil)
    spoilt = trained.adapt(images[:1], masks[:1], window=96, views=1, progress=False)
    assert iou(spoilt(images[0]), masks[0]) >= iou(trained(images[0]), masks[0]) > 0.5
    with pytest.raises(ValueError, match="one mask for each image"):
        trained.adapt(images, masks[:1])


def test_the_encoder_of_a_saved_segmenter_can_be_taken(trained, saved, tmp_path):
    from temlib.network import unet

    taken = unet.encoder(saved)
    for a, b in zip(taken.get_weights(), trained.model.get_layer("encoder").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not taken.trainable
    with pytest.raises(temlib.TemlibError, match=r"alpha=0\.25, not 0\.5"):
        unet.encoder(saved, alpha=0.5)
    (tmp_path / "b.keras").write_bytes(b"no archive")
    with pytest.raises(temlib.TemlibError, match="no segmenter saved by temlib"):
        unet.encoder(tmp_path / "b.keras")


def test_loss_is_nearly_zero_for_a_perfect_prediction_and_large_for_its_opposite():
    truth = np.zeros((2, 16, 16, 2), np.float32)
    truth[:, :8] = 1
    perfect = np.clip(truth, 1e-6, 1 - 1e-6)
    assert float(learning.cross_entropy_and_dice(truth, perfect)) < 0.01
    assert float(learning.cross_entropy_and_dice(truth, 1 - perfect)) > 10
    assert float(learning.cross_entropy_and_dice(0 * truth, 0 * perfect)) < 0.01


def test_what_is_ignored_does_not_count():
    rng = np.random.default_rng(0)
    truth = (rng.random((2, 16, 16, 2)) < 0.5).astype(np.float32)
    first, other = rng.random((2, 2, 16, 16, 2)).astype(np.float32)
    truth[:, :4], truth[..., 1] = IGNORED, IGNORED
    other[:, 4:, :, 0] = first[:, 4:, :, 0]
    losses = [float(learning.cross_entropy_and_dice(truth, p)) for p in (first, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    other[:, 4:, :, 0] = 1 - first[:, 4:, :, 0]
    assert float(learning.cross_entropy_and_dice(truth, other)) != pytest.approx(losses[0], rel=1e-3)


def test_the_distance_map_is_highest_in_the_middle_of_particles(trained, dark_discs):
    """Learned from instance labels alone: from masks it is not learned at all."""
    images, masks = dark_discs
    labels = [label(mask) for mask in masks]
    segmenter = temlib.train_segmenter(images[:3], labels[:3], epochs=60, seed=3, **ONE)
    truth = truth_maps(labels[3])[..., 1]
    inside = masks[3]
    learned, not_learned = (
        np.corrcoef(s.maps(images[3], scale=1.0)[inside, 1], truth[inside])[0, 1] for s in (segmenter, trained)
    )
    assert learned > 0.7
    assert not_learned < learned - 0.2
    assert segmenter.scorer.digest() == temlib.load_segmenter().scorer.digest()
    assert trained.scorer is None


@pytest.mark.parametrize(
    ("shape", "scales"),
    [
        ((512, 700), [0.3125, 0.625, 1.25]),
        ((96, 96), [160 / 96]),
        ((4096, 4096), [1.25 / 2**n for n in range(5, -1, -1)]),
    ],
)
def test_auto_looks_from_afar_and_ever_closer(shape, scales):
    assert auto_scales(shape) == pytest.approx(scales)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000))
def test_auto_ends_near_native_resolution(height, width):
    scales = auto_scales((height, width))
    whole = 160 / min(height, width)  # but for narrow strips, which are magnified to a megapixel at the most
    assert scales[0] == pytest.approx(min(whole, max(1, (2**20 / (height * width)) ** 0.5)))
    assert len(scales) == 1 or 0.75 < scales[-1] <= 1.5


def test_scales_say_at_which_size_the_network_sees(trained, dark_discs):
    image = dark_discs[0][3]
    seen = []
    spying = temlib.Segmenter(trained.model, 24, pixel_size_nm=1.0)
    spying._network.network = lambda x: seen.append(x.shape[1:3]) or np.zeros((1, x.shape[1] // 2, x.shape[2] // 2, 2))
    for scale in (1, 0.5, [0.5, 1, 2], "auto", "calibrated"):
        assert spying(image, scale=scale).data.shape == (100, 100)
    assert seen == [(128, 128), (64, 64), (64, 64), (128, 128), (224, 224), (160, 160), (64, 64)]


def test_magnified_images_give_magnified_masks(trained, dark_discs):
    image, mask = dark_discs[0][3].data, dark_discs[1][3]
    larger, its_mask = (np.kron(a, np.ones((2, 2), a.dtype)) for a in (image, mask))
    native = iou(trained(image, scale=1.0), mask)
    assert iou(trained(larger, scale=0.5), its_mask) == pytest.approx(native, abs=0.03)


def test_what_is_no_scale_is_refused(trained, dark_discs):
    image = dark_discs[0][0]
    for scale in (0, -1, np.nan, [], [1, 0], "native"):
        with pytest.raises(ValueError, match="must be 'auto', 'calibrated', a positive number or several"):
            trained(image, scale=scale)
    with pytest.raises(ValueError, match="pixel size of the image is unknown"):
        trained(image.data, scale="calibrated")
    with pytest.raises(ValueError, match="pixel size of training is unknown"):
        temlib.Segmenter(trained.model)(image, scale="calibrated")


def test_a_segmenter_knows_the_sizes_that_it_was_trained_at(one, dark_discs, monkeypatch):
    images, masks = dark_discs
    assert one.particle_size == 24
    assert one.pixel_size_nm == pytest.approx(0.5 / scale_for(masks[0], 24))
    monkeypatch.setattr(training, "teach", lambda *given: None)
    unknown = temlib.train_segmenter([images[0].data], masks[:1], epochs=1, **ONE)
    assert unknown.pixel_size_nm is None


def test_fine_tuning_gives_the_best_on_validation_and_leaves_the_given_one_alone(trained, dark_discs):
    images, masks = dark_discs
    before = [w.copy() for w in trained.model.get_weights()]
    held_out = images[3:], masks[3:]
    options = {"validation": held_out, "epochs": 1, "views": 4, "batch_size": 4, "window": 96, "progress": False}
    tuned = temlib.fine_tune(trained, images[:3], masks[:3], learning_rate=1e-4, **options)
    scores = [entry["validation_iou"] for entry in tuned.history if "stage" in entry]
    assert [entry["stage"] for entry in tuned.history if "stage" in entry] == [0, 1, 2]
    assert iou(tuned(images[3]), masks[3]) == pytest.approx(max(scores), abs=1e-6)
    assert max(scores) >= iou(trained(images[3]), masks[3])
    for a, b in zip(before, trained.model.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_fine_tuning_learns_from_what_the_segmenter_was_told_to_look_for(trained, dark_discs, monkeypatch):
    import keras

    monkeypatch.setattr(keras.Model, "train_on_batch", lambda *given: 0.0)
    images, masks = dark_discs
    seen, windows_of = [], training.windows_of
    monkeypatch.setattr(training, "windows_of", lambda *given: seen.append(given) or windows_of(*given))
    told = trained.looking_for(contrast="bright", diameter_px=30)
    options = {"epochs": 1, "views": 1, "window": 64, "progress": False}
    temlib.fine_tune(
        told, images[:1], masks[:1], validation=(images[1:2], masks[1:2]), stages=("conv_pw_6",), **options
    )
    grey, factor = seen[0][0][0], seen[0][2][0]
    np.testing.assert_array_equal(grey, -images[0].data)
    assert factor == pytest.approx(np.median(told.scales_for(images[0])))


def test_training_with_fine_tuning_learns_nothing_from_what_it_holds_back(dark_discs, monkeypatch):
    images, masks = (list(part) for part in dark_discs)
    settings = {"weights": None, "alpha": 0.25, "views": 1, "window": 64, "seed": 3, "progress": False}
    windows, seen, teams, calls = training.windows_of, [], [], []
    monkeypatch.setattr(training, "windows_of", lambda *given: seen.append(given[:2]) or windows(*given))
    monkeypatch.setattr(training, "teach", lambda team, *given: teams.append(len(team)))
    monkeypatch.setattr(training, "_fine_tune", lambda *given, **options: calls.append((given[1:], options)))
    given = images[:2], masks[:2]
    for validation, learned, deciding in (
        (None, (images[1:], masks[1:]), (images[:1], masks[:1])),
        (given, (images, masks), given),
    ):
        temlib.train_segmenter(images, masks, fine_tune=True, validation=validation, **settings)
        assert seen.pop() == learned
        labelled, options = calls.pop()
        assert labelled == learned
        assert options["validation"] == deciding
        assert (options["window"], options["seed"]) == (64, 3)
    assert teams == [3, 3]
    with pytest.raises(ValueError, match="needs a second micrograph"):
        temlib.train_segmenter(images[:1], masks[:1], fine_tune=True, **settings)


def test_stages_unfreeze_from_the_deepest_up_and_never_batch_normalisation(trained):
    import keras

    model = keras.models.clone_model(trained.model)
    before = 0
    for stage in training.STAGES:
        training._unfreeze(model, stage)
        learning = [layer for layer in model.get_layer("encoder").layers if layer.trainable_weights]
        assert len(learning) > before
        before = len(learning)
        parts = [layer for layer in model.layers if layer.name.startswith(("encoder", "decoder"))]
        assert len(parts) == 3
        for part in parts:
            for layer in part.layers:
                assert not (isinstance(layer, keras.layers.BatchNormalization) and layer.trainable)


def test_several_decoders_differ_and_their_mean_is_what_the_network_says(trained):
    x = np.random.default_rng(3).uniform(-1, 1, (1, 64, 64, 1)).astype(np.float32)
    decoders = [layer for layer in trained.model.layers if layer.name.startswith("decoder")]
    assert len(decoders) == 2
    features = trained.model.get_layer("encoder")(np.repeat(x, 3, axis=-1), training=False)
    said = [np.asarray(decoder(features, training=False)) for decoder in decoders]
    assert np.abs(said[0] - said[1]).max() > 1e-3
    np.testing.assert_allclose(np.mean(said, axis=0), np.asarray(trained.model(x, training=False)), atol=1e-5)


def test_the_loss_of_history_is_the_mean_over_an_epoch(trained, losses):
    steps = np.reshape(losses, (30, 3 * 2))  # of two decoders each
    assert [epoch["loss"] for epoch in trained.history] == pytest.approx(steps.mean(axis=1))


def test_a_step_of_training_is_traced_once(smallest, monkeypatch):
    import keras

    traced, real = [], keras.Model.train_step
    monkeypatch.setattr(keras.Model, "train_step", lambda *a, **k: traced.append(1) or real(*a, **k))
    model = keras.models.clone_model(smallest)
    learning.compile_for_training(model, 1e-3, steps=2)
    before = model.get_weights()[0]
    for _ in range(2):
        model.train_on_batch(np.ones((1, 4, 4, 1)), np.zeros((1, 2, 2, 2)))
    assert traced == [1]
    assert (model.get_weights()[0] != before).any()


def test_what_does_not_belong_together_is_refused(dark_discs):
    images, masks = dark_discs
    with pytest.raises(ValueError, match="no training images"):
        temlib.train_segmenter([], [], weights=None)
    with pytest.raises(ValueError, match="4 images and 1 masks"):
        temlib.train_segmenter(images, masks[:1], weights=None)
    with pytest.raises(ValueError, match="image 0"):
        temlib.train_segmenter(images[:1], masks[1:2], weights=None)
    with pytest.raises(ValueError, match="multiple of 32"):
        temlib.train_segmenter(images, masks, weights=None, window=100)


@pytest.mark.filterwarnings("error::UserWarning")
def test_images_of_any_kind_train_together_and_in_silence(dark_discs):
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 255, (40, 70), dtype=np.uint8),
        micrograph(rng.normal(size=(130, 100)), 2),
        dark_discs[0][0],
    ]
    masks = [images[0] > 128, micrograph((images[1].data > 0).astype(np.uint8)), dark_discs[1][0]]
    segmenter = temlib.train_segmenter(images, masks, epochs=1, **ONE)
    assert segmenter(images[0]).shape == (40, 70)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.integers(-64, 300),
    st.integers(0, 2),
)
def test_what_does_not_belong_together_is_refused_before_anything_is_learned(trained, image, mask, window, missing):
    images, masks = [np.zeros((64, 64)), np.zeros(image)], [np.zeros((64, 64)), np.zeros(mask)][: 2 - missing]
    if image == mask and not missing and window > 0 and window % 32 == 0:
        return
    before = [array.tobytes() for array in trained.model.get_weights()]
    tune = partial(temlib.fine_tune, trained, validation=(images, masks))
    for learn in (partial(temlib.train_segmenter, weights=None), trained.adapt, tune):
        with pytest.raises(ValueError, match=r"image|mask|window") as caught:
            learn(images, masks, window=window, progress=False)
        assert "\n" not in str(caught.value)
    assert [array.tobytes() for array in trained.model.get_weights()] == before


@settings(max_examples=2, deadline=None)
@given(st.data())
def test_fine_tuning_never_gives_worse_than_the_start_whatever_it_learns(trained, dark_discs, data):
    images, masks = dark_discs
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    wrong = [rng.random(np.shape(mask)) < data.draw(st.floats(0, 1)) for mask in masks[:2]]
    options = {
        "stages": data.draw(st.lists(st.sampled_from(training.STAGES), max_size=1)),
        "learning_rate": data.draw(st.sampled_from([1e-4, 1e-2, 1.0])),
        "seed": data.draw(st.integers(0, 2**31)),
    }
    options |= {"epochs": 1, "views": 1, "window": 64, "progress": False}
    held_out = images[3:], masks[3:]
    before = [array.tobytes() for array in trained.model.get_weights()]
    tuned = temlib.fine_tune(trained, images[:2], wrong, validation=held_out, **options)
    start, now = (np.mean([iou(s(i), m) for i, m in zip(*held_out, strict=True)]) for s in (trained, tuned))
    assert now >= start
    assert tuned(images[0].data[:50]).shape == (50, images[0].data.shape[1])
    assert [array.tobytes() for array in trained.model.get_weights()] == before
    assert tuned.history[: len(trained.history)] == trained.history
    for layer in tuned.model.get_layer("encoder").layers:
        if "bn" in layer.name:
            theirs = trained.model.get_layer("encoder").get_layer(layer.name).get_weights()
            assert [a.tobytes() for a in layer.get_weights()] == [a.tobytes() for a in theirs]


def test_a_stage_that_is_no_layer_is_refused_before_anything_is_learned(trained, dark_discs, monkeypatch):
    pairs = dark_discs[0][:1], dark_discs[1][:1]
    monkeypatch.setattr(training, "windows_of", pytest.fail)
    stages = [*training.STAGES[:1], "conv_dw_99"]
    with pytest.raises(ValueError, match="the encoder has no layer 'conv_dw_99'"):
        temlib.fine_tune(trained, *pairs, validation=pairs, stages=stages, views=1, window=32, progress=False)


NUMBERS = {"allow_nan": False, "allow_infinity": False}


@settings(max_examples=10, deadline=None)
@given(
    st.floats(1, 1e4, **NUMBERS),
    st.none() | st.floats(1e-6, 1e6, **NUMBERS),
    st.tuples(st.integers(0, 40), st.integers(60, 100)),
    st.floats(0, 1, **NUMBERS),
    st.lists(st.dictionaries(st.text(max_size=5), st.floats(**NUMBERS), max_size=3), max_size=3),
)
def test_whatever_a_segmenter_carries_comes_back(smallest, tmp_path_factory, size, pixel, levels, threshold, history):
    path = tmp_path_factory.mktemp("carried") / "network.keras"
    given = temlib.Segmenter(smallest, size, pixel, GreyLevels(*levels), threshold=threshold, history=history)
    given.save(path)
    loaded = temlib.load_segmenter(path, "keras")
    for what in ("particle_size", "pixel_size_nm", "levels", "threshold", "history", "trust"):
        assert getattr(loaded, what) == getattr(given, what)
    for a, b in zip(loaded.model.get_weights(), smallest.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["network.keras", "network.txt", "network"]))
def test_bytes_that_are_no_segmenter_are_refused_in_a_line(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(content)
    with pytest.raises(temlib.TemlibError, match="is no segmenter saved by temlib") as caught:
        temlib.load_segmenter(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=30).filter(lambda groups: len(set(groups)) > 1))
def test_what_is_held_back_shares_no_group_with_what_is_learned_from(groups):
    numbers = list(range(len(groups)))
    (learned, masks), (held, truth) = training.held_back(numbers, numbers, groups)
    assert learned == masks
    assert held == truth
    assert sorted(learned + held) == numbers
    assert learned
    assert groups[0] in {groups[i] for i in held}
    assert not {groups[i] for i in learned} & {groups[i] for i in held}


def test_groups_that_cannot_be_held_back_are_refused():
    assert training.held_back([0, 1, 2, 3, 4, 5], list("abcdef"))[1] == ([0, 5], ["a", "f"])
    with pytest.raises(ValueError, match="of another group"):
        training.held_back([1, 2], [1, 2], ["one article", "one article"])
    with pytest.raises(ValueError, match="2 images and 1 groups"):
        training.held_back([1, 2], [1, 2], ["one article"])
