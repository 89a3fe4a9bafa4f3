"""Networks of anybody's making: what their files ask for is looked at before it is given."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

import temlib
from temlib.errors import SegmenterError, WeightsError
from temlib.network import unet
from temlib.network.weights import BUNDLED

with zipfile.ZipFile(BUNDLED) as bundled:
    MEMBERS = {name: bundled.read(name) for name in bundled.namelist()}


def saved(path, **members):
    """Write the bundled segmenter with other members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**MEMBERS, **members}.items():
            archive.writestr(name, content if isinstance(content, (bytes, str)) else json.dumps(content))
    return path


def refusal(path):
    with pytest.raises(SegmenterError) as refused:
        temlib.load_segmenter(path)
    message = str(refused.value)
    assert f"{path}: is no segmenter saved by temlib" in message
    assert "\n" not in message
    return message


def layers_of(description, kind):
    found = []
    for layer in description["config"].get("layers", []):
        found += [layer] if layer["class_name"] == kind else []
        found += layers_of(layer, kind) if layer["class_name"] == "Functional" else []
    return found


def with_layer(kind, key="config", **values):
    description = json.loads(MEMBERS["config.json"])
    layers_of(description, kind)[-1][key] |= values
    return {"config.json": description}


def weights(*shapes, **options):
    with h5py.File(io.BytesIO(), "w") as file:
        for i, shape in enumerate(shapes):
            file.create_dataset(f"layers/conv2d_{i}/vars/0", shape, np.float32, **options)
        file.flush()
        return {"model.weights.h5": file.id.get_file_image()}


NETWORKS = [
    (with_layer("Conv2D", filters=10**6), "'1000000' where a network of temlib has 1 to 4096"),
    (with_layer("Conv2D", filters="many"), "'many'"),
    (with_layer("Conv2D", filters=True), "'True'"),
    (with_layer("Conv2D", kernel_size=[1, 10**6]), "'1000000'"),
    (with_layer("Conv2D", kernel_size=None), "damaged"),
    (with_layer("Conv2D", kernel_initializer="orthogonal"), "initializer"),
    (with_layer("Conv2D", "build_config", input_shape=[None, None, None, 10**7]), "channels"),
    (with_layer("DepthwiseConv2D", depth_multiplier=8), "channels"),
    (with_layer("DepthwiseConv2D", strides=[10**6, 10**6]), "'1000000'"),
    (with_layer("BatchNormalization", "build_config", input_shape=[10**6]), "channels"),
    (with_layer("InputLayer", batch_shape=[None, None, None, 10**6]), "channels"),
    (with_layer("UpSampling2D", size=[8, 8]), "half the micrograph's resolution"),
    (with_layer("UpSampling2D", size=[10**6, 1]), "'1000000'"),
    (with_layer("ZeroPadding2D", padding=[[0, 10**6], [0, 1]]), "'1000000'"),
    ({"config.json": []}, "holds a list"),
    ({"config.json": {}}, "damaged"),
    ({"config.json": b"[" * 100_000}, "nested too deeply"),
    ({"config.json": b" " * 2**24}, "'config.json' unpacks to more than 8 MiB"),
    ({"temlib.json": b" " * 2**24}, "'temlib.json' unpacks to more than 8 MiB"),
    ({"metadata.json": b" " * 2**24}, "'metadata.json' unpacks to more than 8 MiB"),
    ({"model.weights.h5": b"\0" * 2**29}, "unpacks to more than 256 MiB"),
    (weights((2**15, 2**15), chunks=(2**10, 2**10), compression="gzip"), "larger than any network of temlib"),
    (weights(*[(2**24,)] * 8, chunks=(2**10,)), "larger than any network of temlib"),
    (weights((3, 3)), "layer"),
    ({f"{i}": b"" for i in range(20)}, "more members"),
]


@pytest.mark.parametrize(("members", "reason"), NETWORKS)
def test_a_network_larger_than_any_of_temlib_is_not_built(members, reason, tmp_path):
    assert reason in refusal(saved(tmp_path / "a.keras", **members))


def test_a_network_that_calls_itself_again_and_again_is_not_followed(tmp_path):
    """Twelve models, each of which applies the one before it twelve times."""
    one = {"class_name": "__keras_tensor__", "config": {"keras_history": ["in", 0, 0]}}
    model = {"class_name": "Activation", "name": "inner", "config": {}, "inbound_nodes": [{"args": [one]}] * 12}
    for _ in range(12):
        entry = {"class_name": "InputLayer", "name": "in", "config": {"batch_shape": [None] * 3 + [1]}}
        config = {"layers": [entry | {"inbound_nodes": []}, model]}
        node = int(model["class_name"] == "Functional")
        config |= {"input_layers": [["in", 0, 0]], "output_layers": [["inner", node, 0]]}
        model = {"class_name": "Functional", "name": "inner", "config": config, "inbound_nodes": [{"args": [one]}] * 12}
    assert "larger than any network of temlib" in refusal(saved(tmp_path / "a.keras", **{"config.json": model}))


SETTINGS = json.loads(MEMBERS["temlib.json"])


CHANGES = [
    *(({"threshold": value}, "threshold") for value in ("a", float("nan"), -1, 2, None, True, [0.5])),
    *(({"particle_size": value}, "particle_size") for value in (0, -3, "large", float("inf"), None)),
    *(({"pixel_size_nm": value}, "pixel_size_nm") for value in (0, -0.5, float("nan"), "0.5 nm", [1, 1])),
    ({"levels": {"low_percentile": 99, "high_percentile": 1}}, "must be less than"),
    ({"levels": {"low_percentile": -1, "high_percentile": 99}}, "low_percentile"),
    ({"levels": {"low_percentile": "1"}}, "low_percentile"),
    ({"levels": {"width": 3}}, "width"),
    ({"levels": [1, 99]}, ""),
    ({"history": "long"}, "history"),
    ({"history": [1, 2]}, "history"),
    ({"trust": {"agreement": [0.5, 0.4], "iou": [0.1, 0.2]}}, "ascending"),
    ({"trust": {"agreement": [0.5, 0.6], "iou": [0.1]}}, "as many"),
    ({"trust": {"agreement": [0.5], "iou": [float("nan")]}}, "iou"),
    ({"trust": {"agreement": "high", "iou": [1]}}, "agreement"),
    ({"trust": {"agreement": [0.5]}}, "iou"),
]


@pytest.mark.parametrize(("change", "reason"), CHANGES)
def test_settings_of_another_type_or_out_of_range_are_refused(change, reason, tmp_path):
    assert reason in refusal(saved(tmp_path / "a.keras", **{"temlib.json": SETTINGS | change}))


def test_what_temlib_does_not_keep_is_not_taken(tmp_path):
    extra = {"_network": "x", "runtime": "onnx", "model": None}
    segmenter = temlib.load_segmenter(saved(tmp_path / "a.keras", **{"temlib.json": SETTINGS | extra}), "keras")
    assert segmenter.runtime == "keras"
    assert segmenter._network.network is None


def test_weights_of_a_network_too_wide_are_refused(tmp_path):
    for shape in ((3, 3, 3, 10**6), (3, 3, 3, 0), (10**9,), ()):
        path = tmp_path / "a.weights.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("layers/conv2d/vars/0", shape, np.float32)
        with pytest.raises(WeightsError, match=r"is no weights file of a MobileNet v1") as refused:
            unet.encoder(path)
        assert "\n" not in str(refused.value)
