"""What the description of a network in a file asks for, found out before it is built: layers, numbers, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any, NamedTuple

__all__ = ["check_description"]

# What a network of temlib is made of. Anything else in a file that claims to be one was put there by someone.
_PARTS = {
    *("Functional", "InputLayer", "Activation", "Add", "Average", "BatchNormalization", "Concatenate", "Conv2D"),
    *("DepthwiseConv2D", "Dropout", "ReLU", "UpSampling2D", "ZeroPadding2D", "DTypePolicy", "__keras_tensor__"),
    *("GlorotUniform", "HeNormal", "Ones", "Zeros"),
}
_WEIGHTED = ("BatchNormalization", "Conv2D", "DepthwiseConv2D")
_MOST_LAYERS = 2000
_MOST_WEIGHTS = 2**26  # the widest MobileNet with a decoder has 2**22.2
_MOST_NUMBERS = 256  # of a layer's map, for each pixel of the micrograph; the widest MobileNet's has 32


class _Map(NamedTuple):
    """What a layer gives: channels, and width over that of the micrograph."""

    channels: int
    scale: float


def check_description(description: dict) -> None:
    """Refuse a network that has other parts than those of temlib, or takes memory as none of temlib does.

    Parameters
    ----------
    description : dict
        Keras's, of a functional model.

    Raises
    ------
    ValueError
        Saying what is wrong with it.
    """
    unknown = sorted(_parts_of(description) - _PARTS)
    if unknown:
        raise ValueError(f"it asks for {unknown[0]!r}, which no network of temlib has")
    plan = _Plan()
    try:
        given = plan.follow(description["config"], [_Map(1, 1.0)])
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"its description is damaged ({type(error).__name__}: {error})") from error
    if [each.scale for each in given] != [0.5]:
        raise ValueError("it does not give maps of half the micrograph's resolution, as a network of temlib does")


def _parts_of(description: Any) -> set[str]:
    """Collect the classes that a network's description names, at any depth."""
    if isinstance(description, list):
        return set().union(*map(_parts_of, description))
    if not isinstance(description, dict):
        return set()
    here = {str(description["class_name"])} if "class_name" in description else set()
    return here.union(*map(_parts_of, description.values()))


class _Plan:
    """Follow maps through a network, adding up layers and weights."""

    def __init__(self) -> None:
        self.layers = 0
        self.weights = 0

    def follow(self, network: dict, given: list[_Map]) -> list[_Map]:
        """Give what a functional model makes of maps."""
        layers = {layer["name"]: layer for layer in network["layers"]}
        made: dict[tuple[str, int], list[_Map]] = {}
        for (name, _, _), each in zip(_references(network["input_layers"]), given, strict=True):
            _check_channels(layers[name]["config"]["batch_shape"], each)
            made[name, 0] = [each]
        for name, layer in layers.items():
            for node, call in enumerate(layer["inbound_nodes"]):
                taken = [made[other, at][which] for other, at, which in _tensors(call["args"])]
                made[name, node] = self.apply(layer, taken)
        outputs = _references(network["output_layers"])
        before = {name for name, layer in layers.items() if layer["class_name"] == "Functional"}
        return [made[name, at - (name in before)][which] for name, at, which in outputs]  # its node 0 is its own

    def apply(self, layer: dict, given: list[_Map]) -> list[_Map]:
        """Give what a layer makes of maps, and count it."""
        self.layers += 1
        kind, config = layer["class_name"], layer["config"]
        if kind == "Functional":
            return self.follow(config, given)
        if kind not in _LAYERS:
            raise ValueError(f"it asks for {kind!r} as a layer, which no network of temlib has")
        if layer.get("build_config") and kind in _WEIGHTED:
            _check_channels(layer["build_config"]["input_shape"], given[0])
        if not all(value is None or isinstance(value, dict) for key, value in config.items() if "_initializer" in key):
            raise ValueError(f"it asks for an initializer in layer {layer['name']!r} that no network of temlib has")
        made, weights = _LAYERS[kind](config, given)
        self.weights += weights
        numbers = made.channels * made.scale**2
        if self.layers > _MOST_LAYERS or self.weights > _MOST_WEIGHTS or numbers > _MOST_NUMBERS:
            raise ValueError(f"it is larger than any network of temlib, by layer {layer['name']!r}")
        return [made]


def _check_channels(shape: list, given: _Map) -> None:
    """Refuse a layer that says of its input what is not so: Keras makes its weights by that."""
    if len(shape) != 4 or shape[-1] != given.channels:
        raise ValueError(f"a layer of it takes an input of shape {str(shape)[:40]}, but gets {given.channels} channels")


def _references(saved: list) -> list[tuple[str, int, int]]:
    """Read where maps come from: one [layer, node, number], or several."""
    return [(str(name), at, which) for name, at, which in (saved if isinstance(saved[0], list) else [saved])]


def _tensors(arguments: Any) -> Iterator[tuple[str, int, int]]:
    """Find the maps among the arguments of a layer's call."""
    if isinstance(arguments, list):
        for each in arguments:
            yield from _tensors(each)
    elif isinstance(arguments, dict) and arguments.get("class_name") == "__keras_tensor__":
        name, at, which = arguments["config"]["keras_history"]
        yield str(name), at, which


def _whole(value: Any, most: int, least: int = 1) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"it asks for {str(value)[:40]!r} where a network of temlib has {least} to {most}")
    return value


def _pair(value: Any, most: int, least: int = 1) -> list[int]:
    return [_whole(each, most, least) for each in ([value, value] if type(value) is int else value)]


def _same(config: dict, given: list[_Map]) -> tuple[_Map, int]:
    """Keep the maps' number and size."""
    return given[0], 0


def _normalised(config: dict, given: list[_Map]) -> tuple[_Map, int]:
    return given[0], 4 * given[0].channels


def _joined(config: dict, given: list[_Map]) -> tuple[_Map, int]:
    return _Map(sum(each.channels for each in given), given[0].scale), 0


def _padded(config: dict, given: list[_Map]) -> tuple[_Map, int]:
    for edge in config["padding"]:
        _pair(edge, 16, 0)
    return given[0], 0


def _enlarged(config: dict, given: list[_Map]) -> tuple[_Map, int]:
    return _Map(given[0].channels, given[0].scale * max(_pair(config["size"], 8))), 0


def _convolved(config: dict, given: list[_Map]) -> tuple[_Map, int]:
    """Follow a convolution of all channels (``filters``), or of each for itself (``depth_multiplier``)."""
    _pair(config["dilation_rate"], 16)
    size, strides = prod(_pair(config["kernel_size"], 31)), _pair(config["strides"], 8)
    before, scale = given[0].channels, given[0].scale / min(strides)
    if "filters" in config:
        after = _whole(config["filters"], 4096)
        return _Map(after, scale), (size * before + 1) * after
    after = before * _whole(config["depth_multiplier"], 8)
    return _Map(after, scale), (size + 1) * after


_LAYERS: dict[str, Callable[[dict, list[_Map]], tuple[_Map, int]]] = {
    **dict.fromkeys(("Activation", "Add", "Average", "Dropout", "InputLayer", "ReLU"), _same),
    "BatchNormalization": _normalised,
    "Concatenate": _joined,
    "ZeroPadding2D": _padded,
    "UpSampling2D": _enlarged,
    **dict.fromkeys(("Conv2D", "DepthwiseConv2D"), _convolved),
}
