import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import temlib
from temlib.errors import TemlibError
from temlib.network import tiling, unet


@pytest.fixture(scope="module")
def model():
    encoder = unet.encoder(None, 0.25, seed=1)
    return unet.unet(encoder, unet.decoder([m.shape[-1] for m in encoder.outputs], seed=2))


@pytest.fixture(scope="module")
def networks(model):
    started = {"keras": tiling.start(model)}
    with suppress(TemlibError):
        started["openvino"] = tiling.start(model, "openvino")
    return started


def network_of(networks, runtime):
    if runtime not in networks:
        pytest.skip("needs OpenVINO: pip install 'temlib[openvino]'")
    return networks[runtime]


def image_of(shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(32, 32), (64, 32), (37, 70), (1, 5)])
def test_images_of_any_size(networks, shape):
    maps = tiling.predict(networks["keras"], image_of(shape))
    assert maps.shape == (-(-shape[0] // 2), -(-shape[1] // 2), 2)
    assert maps.min() >= 0
    assert maps.max() <= 1


@pytest.mark.parametrize("runtime", tiling.RUNTIMES)
@pytest.mark.parametrize(("shape", "tile"), [((700, 900), 448), ((1000, 500), 512), ((416, 448), 416)])
def test_tiles_give_what_the_whole_image_gives(networks, runtime, shape, tile):
    network, image = network_of(networks, runtime), image_of(shape)
    whole = tiling.predict(network, image, tile=2048)
    tiled = tiling.predict(network, image, tile=tile)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    assert whole.std() > 1e-3  # the network says something


def test_the_margin_covers_all_that_has_a_say(model):
    """In a network that only averages, what is further away than the margin does not move."""
    import keras

    averaging = keras.models.clone_model(model)
    for variable in averaging.weights:
        if "kernel" in variable.path:
            kernel = np.ones(variable.shape, np.float32)
            axes = (0, 1) if "conv_dw" in variable.path else (0, 1, 2)
            variable.assign(kernel / kernel.sum(axes, keepdims=True))
    image = np.zeros((64, 704), np.float32)
    other = image.copy()
    other[:, :32] = 1
    network = tiling.start(averaging)
    change = np.abs(tiling.predict(network, image) - tiling.predict(network, other)).max((0, 2))
    reach = 2 * np.flatnonzero(change).max() + 2 - 32
    assert 96 < reach <= tiling.MARGIN


def test_memory_is_bounded_by_the_tile(networks):
    seen = []

    def spy(images):
        seen.append(images.shape)
        return np.zeros((1, images.shape[1] // 2, images.shape[2] // 2, 2), np.float32)

    tiling.predict(spy, image_of((2100, 1700)), tile=512)
    assert max(max(shape[1:3]) for shape in seen) <= 512
    assert len(seen) > 100


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(13, 60))
def test_cores_cover_every_edge_once(strides, tile_strides):
    edge, tile = tiling.STRIDE * strides, tiling.STRIDE * tile_strides
    spans = tiling._spans(edge, tile)
    assert [span[2] for span in spans[1:]] == [span[3] for span in spans[:-1]]
    assert (spans[0][2], spans[-1][3]) == (0, edge)
    for start, stop, first, last in spans:
        assert stop - start <= tile
        assert first < last
        assert start == 0 or first - start >= tiling.MARGIN
        assert stop == edge or stop - last >= tiling.MARGIN
        assert start % tiling.STRIDE == stop % tiling.STRIDE == 0


def test_a_tile_without_a_core_is_refused(networks):
    with pytest.raises(ValueError, match="tile=256 leaves no core"):
        tiling.predict(networks["keras"], image_of((300, 300)), tile=256)


def test_openvino_says_what_keras_says(networks):
    image = image_of((200, 330))
    first, second = (tiling.predict(network_of(networks, r), image) for r in tiling.RUNTIMES)
    np.testing.assert_allclose(first, second, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*expect an IoU")
def test_a_segmenter_takes_openvino_where_it_is_installed_and_says_the_same(monkeypatch):
    pytest.importorskip("openvino")
    image = image_of((160, 200))
    segmenter, plain = temlib.load_segmenter(), temlib.load_segmenter(runtime="keras")
    assert (segmenter.runtime, plain.runtime) == ("openvino", "keras")
    np.testing.assert_allclose(segmenter.maps(image, 1.0), plain.maps(image, 1.0), atol=1e-4)
    assert np.mean(segmenter(image) != plain(image)) < 1e-4
    monkeypatch.setattr(tiling, "find_spec", lambda name: None)
    assert temlib.load_segmenter().runtime == "keras"


@pytest.mark.filterwarnings("ignore:.*expect an IoU")
def test_a_network_is_started_once_whatever_is_told(monkeypatch):
    segmenter, started = temlib.load_segmenter(runtime="keras"), []
    start = tiling.start
    monkeypatch.setattr(tiling, "start", lambda *given: started.append(1) or start(*given))
    for told in ({}, {"marks": "keep"}, {"diameter_px": 12}):
        segmenter(image_of((64, 64)), 1.0, **told)
    segmenter.particles(image_of((64, 64)), 1.0)
    assert len(started) == 1


def test_a_segmenter_follows_what_its_model_learns_unless_openvino_keeps_the_weights(networks):
    network_of(networks, "openvino")
    encoder, image = unet.encoder(None, 0.25, seed=1), image_of((64, 64))
    here = temlib.Segmenter(unet.unet(encoder, unet.decoder([m.shape[-1] for m in encoder.outputs], seed=2)))
    there = here.with_runtime("openvino")
    before = here.maps(image, 1.0)
    here.model.set_weights([1.5 * weights for weights in here.model.get_weights()])
    assert here.runtime == "keras"
    assert np.abs(here.maps(image, 1.0) - before).max() > 0.01
    np.testing.assert_allclose(there.maps(image, 1.0), before, atol=1e-4)


def test_unknown_and_missing_runtimes(model, monkeypatch):
    with pytest.raises(ValueError, match="no runtime 'onnx'; choose from keras, openvino"):
        tiling.start(model, "onnx")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(TemlibError, match=r"pip install 'temlib\[openvino\]'"):
        tiling.start(model, "openvino")


def test_auto_is_openvino_where_it_starts(model, networks):
    network_of(networks, "openvino")
    name, network = tiling.start_any(model, "auto")
    assert name == "openvino"
    np.testing.assert_allclose(
        tiling.predict(network, image_of((64, 64))),
        tiling.predict(networks["keras"], image_of((64, 64))),
        atol=1e-4,
    )


def test_auto_is_keras_where_there_is_no_openvino(model, monkeypatch, recwarn):
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert tiling.start_any(model, "auto")[0] == "keras"
    assert not recwarn


def test_a_runtime_that_does_not_start_is_one_line(model, networks, monkeypatch):
    network_of(networks, "openvino")

    def fails(*args):
        raise NameError("name 'tensorflow'\nis not defined")

    monkeypatch.setattr(tiling, "_read_frozen", fails)
    with pytest.raises(TemlibError, match=r"does not start \(name 'tensorflow' is not defined\); take runtime='keras'"):
        tiling.start(model, "openvino")
    with pytest.warns(UserWarning, match=r"^OpenVINO does not start \(.*Keras does the sums$"):
        assert tiling.start_any(model, "auto")[0] == "keras"


def test_openvino_reports_nothing_to_its_makers():
    code = "import sys; from temlib.network import tiling; tiling._import_openvino(); "
    code += "print(sys.modules['openvino_telemetry'], [name for name in sys.modules if 'telemetry.' in name])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if "there is no OpenVINO" in result.stderr:
        pytest.skip("needs OpenVINO: pip install 'temlib[openvino]'")
    assert result.stdout == "None []\n"
