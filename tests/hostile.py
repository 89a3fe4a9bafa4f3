"""Inputs that no program of good will writes: they ask for code, for memory, for ever, or for what is elsewhere."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
from PIL import Image

from temlib.files.labels.label_files import save_coco, save_labels, save_rois
from temlib.files.micrographs import micrograph, save_micrograph
from tests.doors import Input
from tests.test_hostile_files import Evil, functional, hspy
from tests.test_model_files import CHANGES, MEMBERS, NETWORKS, SETTINGS, saved
from tests.test_painter import HARM

SHAPE = (64, 80)
GREY = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
DEEP = b"[" * 200_000
JSON = {
    "nothing": b"",
    "nested lists": DEEP + b"]" * 200_000,
    "nested objects": b'{"a":' * 200_000,
    "a list": b"[1, 2]",
    "a number": b"3",
    "NaN": b"NaN",
    "many digits": b'{"a": ' + b"9" * 10_000 + b"}",
    "40 MB": b'{"a": [' + b"[]," * 13_000_000 + b"0]}",
    "Latin-1": '{"é": 1}'.encode("latin-1"),
    "a pickle": pickle.dumps({"a": 1}),
    "NULs": b"\0" * 1000,
}
SEGMENTATIONS: tuple[Any, ...] = (
    *([[value] * 6] for value in (float("nan"), 1e300, 10**400, "a")),
    *([[1, 2, 3]], [[0, 0, 1e9, 0, 1e9, 1e9]], [[0, 0, 80, 64, 80, 0, 0, 64] * 20_000]),
    *({"size": list(SHAPE), "counts": counts} for counts in ([10**18], [-1], "\u00e9", "~" * 10**6)),
    *({"size": 3, "counts": []}, {}, 3),
)
VALUES = (None, True, 3, -1, float("nan"), 10**400, "x", [], {}, [[]], "$a_{$")


def written(name: str, content: bytes | str) -> Any:
    """Give what writes a file into a folder."""

    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)

    return make


def all_hostile() -> Iterator[Input]:
    """Give every hostile input."""
    yield from micrographs()
    yield from labels()
    yield from networks()
    yield from strokes()
    yield from settings()


def micrographs() -> Iterator[Input]:
    """Give files that claim to be micrographs."""
    for suffix in (".hspy", ".h5", ".hdf5"):
        for door in ("micrograph", "lazy", "labels", "strokes"):
            yield Input(
                door,
                f"an expression in an axis, {suffix}",
                lambda folder, suffix=suffix: hspy(folder / "t.hspy", functional(folder / "ran")).rename(
                    folder / f"a{suffix}"
                ),
            )
    for door in ("micrograph", "lazy"):
        for name, make in _pictures().items():
            yield Input(door, name, make)


def _functional(suffix: str, folder: Path) -> None:
    hspy(folder / "t.hspy", functional(folder / "ran")).rename(folder / f"a{suffix}")


def _pictures() -> dict[str, Any]:
    evil = {f"a pickle named {s}": _evil(s) for s in (".npy", ".npz", ".hspy", ".tif", ".blo", ".emd", ".pkl")}
    headers = {
        "a png of 60,000 x 60,000 pixels": ("a.png", _png(60_000)),
        "a tif of 2^31 x 2^31 pixels": ("a.tif", _tif(2**31 - 1)),
        "a tif whose directory is the next": ("a.tif", _circle()),
        "a tif with a description of 200,000 brackets": ("a.tif", _described(DEEP.decode())),
        "OME-XML with entities of entities": ("a.ome.tif", _described(_laughs("OME"))),
        "an mrc of 2^31 x 2^31 pixels": ("a.mrc", struct.pack("<4i", 2**31 - 1, 2**31 - 1, 1, 2) + bytes(1008)),
        "an mrc with an extended header of 2 GB": ("a.mrc", _mrc(2**31 - 1)),
        "an emi with entities of entities": ("a.emi", _laughs("ObjectInfo").encode()),
    }
    return evil | {name: written(*file) for name, file in headers.items()} | {"a pipe": _pipe, "a device": _device}


def _evil(suffix: str) -> Any:
    return lambda folder: (folder / f"a{suffix}").write_bytes(pickle.dumps(Evil(folder / "ran")))


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "a.tif")


def _device(folder: Path) -> None:
    (folder / "a.tif").symlink_to("/dev/zero")


def _png(edge: int) -> bytes:
    content = io.BytesIO()
    Image.new("1", (8, 8)).save(content, "png")
    return content.getvalue().replace(struct.pack(">II", 8, 8), struct.pack(">II", edge, edge), 1)


def _tif(edge: int) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(content, GREY, photometric="minisblack")
    whole = bytearray(content.getvalue())
    with tifffile.TiffFile(io.BytesIO(whole)) as file:
        for tag in ("ImageWidth", "ImageLength"):
            place = file.pages[0].tags[tag].offset
            whole[place : place + 12] = whole[place : place + 2] + struct.pack("<HII", 4, 1, edge)
    return bytes(whole)


def _circle() -> bytes:
    entries = ((256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 0), (278, 8), (279, 64))
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + struct.pack("<I", 8) + bytes(64)


def _described(text: str) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(content, GREY, photometric="minisblack", description=text, metadata=None)
    return content.getvalue()


def _laughs(root: str) -> str:
    entities = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(12))
    return f'<?xml version="1.0"?><!DOCTYPE {root} [<!ENTITY e0 "ha">{entities}]><{root}>&e12;</{root}>'


def _mrc(extended: int) -> bytes:
    header = bytearray(struct.pack("<4i", 8, 8, 1, 0) + bytes(1008))
    header[92:96] = struct.pack("<i", extended)
    header[208:212] = b"MAP "
    return bytes(header) + bytes(64)


def labels() -> Iterator[Input]:
    """Give files that claim to be labels."""
    image = {"id": 1, "file_name": "a", "height": SHAPE[0], "width": SHAPE[1]}
    outline = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [[1, 1, 9, 1, 9, 9]]}
    for name, content in JSON.items():
        yield Input("labels", f"COCO: {name}", written("a.json", content))
    for key in ("height", "width", "id"):
        for value in (10**9, -1, 0, "8", None, float("nan"), 10**400):
            yield _coco(f"{key} {str(value)[:9]}", image | {key: value}, outline)
    for value in SEGMENTATIONS:
        yield _coco(f"segmentation {str(value)[:20]}", image, outline | {"segmentation": value})
    yield Input("labels", "zip of zeros", _zip({"a.roi": b"\0" * 2**29}))
    yield Input("labels", "zip of many", _zip({f"{i}.roi": b"Iout" for i in range(50_000)}))
    yield Input("labels", "zip out of its folder", _zip({"../ran.roi": b"Iout", "/ran.roi": b""}))
    for claim in (b"\xff" * 60, b"\0" * 60, struct.pack(">hhhhhhhh", 228, 7, -9999, -9999, 9999, 9999, 9999, 1) * 8):
        yield Input("labels", f"roi of {claim[:4]!r}", written("a.roi", b"Iout" + claim))
    for tags in (DEEP.decode(), "3", '{"axes": 3}', '{"axes": [{"key": []}]}'):
        yield Input("labels", f"ilastik: {tags[:20]}", partial(_ilastik, "a.h5", tags))


def _coco(name: str, image: dict, outline: dict) -> Input:
    content = {"images": [image], "annotations": [outline], "categories": [{"id": 1, "name": "particle"}]}
    return Input("labels", f"COCO: {name}", written("a.json", json.dumps(content)))


def _zip(members: dict[str, bytes]) -> Any:
    def make(folder: Path) -> None:
        with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return make


def _ilastik(name: str, tags: str, folder: Path) -> None:
    with h5py.File(folder / name, "w") as file:
        file.create_dataset("exported_data", data=(GREY > 128).astype(np.uint8)[..., None])
        kind = h5py.string_dtype()
        file["exported_data"].attrs.create("axistags", tags[:60_000], dtype=kind)


def networks() -> Iterator[Input]:
    """Give files that claim to be networks, their weights, or the state of their training."""
    for members, reason in NETWORKS:
        yield Input("network", reason, partial(_saved, members))
    for change, reason in CHANGES:
        members = {"temlib.json": SETTINGS | change}
        yield Input(
            "network", f"settings: {reason}", lambda folder, members=members: saved(folder / "a.keras", **members)
        )
    for name in ("config.json", "temlib.json"):
        for what, content in JSON.items():
            members = {name: content}
            yield Input(
                "network", f"{name}: {what}", lambda folder, members=members: saved(folder / "a.keras", **members)
            )
    yield Input(
        "weights", "a network of another shape", lambda folder: saved(folder / "a.keras", **{"config.json": b"{}"})
    )
    for suffix in (".h5", ".weights.h5", ".keras", ".pkl"):
        yield Input("weights", f"a pickle named {suffix}", _evil(suffix))
        yield Input("network", f"a pickle named {suffix}", _evil(suffix))
    for shape in ((3, 3, 3, 10**6), (10**9,), (), (3, 3, 3, 0)):
        yield Input("weights", f"a kernel of shape {shape}", partial(_kernel, shape))
    objects = np.array([{"a": 1}], dtype=object)
    arrays = {"training": np.array("this"), "history": np.array("[]")}
    for name, extra in {
        "objects": {"0_0": objects},
        "other shapes": {f"0_{i}": np.zeros(1) for i in range(9)},
        "words": {f"0_{i}": np.array(["x"]) for i in range(9)},
        "history nested": {"history": np.array(DEEP.decode())},
        "history no list": {"history": np.array("3")},
    }.items():
        yield Input("training", name, partial(_npz, arrays | extra))
    yield Input("training", "a pickle", _evil(".npz"))
    yield Input("training", "an array that claims 2^60 numbers", _claim)


def _saved(members: dict[str, Any], folder: Path) -> None:
    saved(folder / "a.keras", **members)


def _kernel(shape: tuple[int, ...], folder: Path) -> None:
    with h5py.File(folder / "a.weights.h5", "w") as file:
        file.create_dataset("layers/conv2d/vars/0", shape, np.float32)


def _npz(arrays: dict[str, Any], folder: Path) -> None:
    np.savez(folder / "a.npz", allow_pickle=True, **arrays)


def _claim(folder: Path) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**60},), }}".encode()
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        for name in ("training", "history"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)


def strokes() -> Iterator[Input]:
    """Give records of strokes that nobody painted."""
    for what, content in JSON.items():
        yield Input("strokes", f"record: {what}", _record(content))
    for harm in HARM:
        yield Input("strokes", f"record: {str(harm)[:60]}", _record(harm))
    for name in ("_scribbles.png", "_start.png", "_painted.tif"):
        yield Input("strokes", f"a{name} of 60,000 x 60,000 pixels", _beside(name, _png(60_000)))


def painted(folder: Path) -> Path:
    """Write a micrograph and a record of strokes on it; give the record's path."""
    import temlib

    Image.fromarray(GREY).save(folder / "a.png")
    temlib.LabelPainter(folder / "a.png", folder / "labels").paint("particle", [[5, 5], [9, 9]])
    return folder / "labels" / "a_strokes.json"


def _record(change: dict | bytes) -> Any:
    def make(folder: Path) -> None:
        path = painted(folder)
        path.write_bytes(
            change if isinstance(change, bytes) else json.dumps(json.loads(path.read_text()) | change).encode()
        )

    return make


def _beside(name: str, content: bytes) -> Any:
    def make(folder: Path) -> None:
        painted(folder).with_name(f"a{name}").write_bytes(content)

    return make


def settings() -> Iterator[Input]:
    """Give settings, parameters and tables that were not written by the run that reads them."""
    for what, content in JSON.items():
        yield Input("batch", f"settings.json: {what}", _in_batch("settings.json", content))
        yield Input("run", f"parameters.json: {what}", written("runs/simulated-bundled/parameters.json", content))
    for key in ("written by", "files", "temlib", "network", "kind", "settings"):
        for value in VALUES[:8]:
            yield Input("batch", f"{key}: {str(value)[:20]}", _in_batch("settings.json", {key: value}))
    for what, content in {
        "random bytes": np.random.default_rng(0).bytes(4000),
        "an open quote": b'micrograph,file\n"a,b\n',
        "other columns": b"x,y\n1,2\n",
        "many columns": b",".join(b"c%d" % i for i in range(20_000)),
        "NULs": b"\0" * 4000,
        "one long line": b"x" * 10**6,
    }.items():
        for table in ("micrographs.csv", "particles.csv"):
            yield Input("batch", f"{table}: {what}", _in_batch(table, content))
    for name, text in {
        "an object": "!!python/object/apply:os.system ['touch ran']",
        "nested": "[" * 100_000,
        "not UTF-8": b"\xff\xfe\xfa",
        "a list": "[1, 2]",
        "numbers": "01_load_micrographs: 3",
        "unknown": "99_nothing: {a: 1}",
    }.items():
        yield Input("parameters", name, written("a.yml", text))


BATCH: dict[str, bytes] = {}
"""What a batch of one micrograph wrote, by name; filled by the test."""


def _in_batch(name: str, change: dict | bytes) -> Any:
    def make(folder: Path) -> None:
        Image.fromarray(GREY).save(folder / "a.png")
        for each, content in BATCH.items():
            written(f"out/{each}", content)(folder)
        path = folder / "out" / name
        path.write_bytes(
            change if isinstance(change, bytes) else json.dumps(json.loads(path.read_bytes()) | change).encode()
        )

    return make


def plain_files(folder: Path) -> dict[str, tuple[str, Path]]:
    """Write one good file of each kind that can be written here; give door and path of each."""
    from temlib.network.weights import BUNDLED

    folder.mkdir(exist_ok=True)
    numbers = np.zeros(SHAPE, np.int32)
    numbers[5:20, 5:20], numbers[30:50, 40:70] = 1, 2
    for suffix in ("png", "jpg", "bmp", "gif"):
        Image.fromarray(GREY).save(folder / f"picture.{suffix}")
    tifffile.imwrite(folder / "imagej.tif", GREY, imagej=True, resolution=(2, 2), metadata={"unit": "nm"})
    tifffile.imwrite(folder / "lzw.tif", GREY.astype(np.uint16), compression="lzw")
    save_micrograph(micrograph(GREY.astype(np.float32), 0.5), folder / "signal.hspy")
    (folder / "map.mrc").write_bytes(_mrc(0))
    files = {path.name: ("micrograph", path) for path in folder.iterdir()}
    save_labels(numbers, folder / "labels.tif", 0.5)
    Image.fromarray(numbers.astype(np.uint8)).save(folder / "labels.png")
    save_rois(numbers, folder / "rois.zip")
    save_coco({"a": numbers}, folder / "coco.json")
    _ilastik("ilastik.h5", '{"axes": [{"key": "y"}, {"key": "x"}, {"key": "c"}]}', folder)
    for name in ("labels.tif", "labels.png", "rois.zip", "coco.json", "ilastik.h5"):
        files[name] = ("labels", folder / name)
    (folder / "network.keras").write_bytes(BUNDLED.read_bytes())
    (folder / "weights.weights.h5").write_bytes(MEMBERS["model.weights.h5"])
    return files | {
        "network.keras": ("network", folder / "network.keras"),
        "weights.weights.h5": ("weights", folder / "weights.weights.h5"),
    }
