"""Files whose authors mean harm: no code of theirs runs, nothing outside is read, one line says why."""

import base64
import json
import os
import pickle
import shutil
import sys

import h5py
import numpy as np
import pytest

import temlib
from temlib.files.micrographs import micrograph
from tests.test_formats import write_velox

SHAPE = (16, 24)
pytestmark = pytest.mark.filterwarnings("ignore:The NestedDirectoryStore is deprecated:FutureWarning")


class Evil:
    """What touches a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def hspy(path, change, navigation=()):
    """Write a signal as HyperSpy does, and let ``change`` do to its group what it likes."""
    frames = (3,) * len(navigation)
    micrograph(np.zeros((*frames, *SHAPE), np.uint8), 0.5, navigation=navigation).save(path)
    with h5py.File(path, "a") as file:
        change(next(iter(file["Experiments"].values())))
    return path


def zspy(path, change):
    pytest.importorskip("zarr")
    micrograph(np.zeros(SHAPE, np.uint8), 0.5).save(path)
    change(next(folder for folder in (path / "Experiments").iterdir() if folder.is_dir()))
    return path


def functional(marker):
    def change(group):
        axis = group["axis-0"]
        del axis.attrs["scale"], axis.attrs["offset"]
        expression = f"__import__('os').system('touch {marker}')*0+x"
        axis.attrs.update({"_type": "FunctionalDataAxis", "expression": expression})
        x = {"_type": "UniformDataAxis", "size": len(SHAPE), "scale": 1.0, "offset": 0.0, "navigate": False}
        axis.create_group("x").attrs.update(x)

    return change


def refusal(path, **options):
    with pytest.raises(temlib.MicrographError) as caught:
        temlib.load_micrograph(path, **options)
    message = str(caught.value)
    assert path.name in message
    assert message.isprintable()
    return message


@pytest.mark.parametrize("suffix", [".hspy", ".h5", ".hdf5"])
@pytest.mark.parametrize("lazy", [False, True])
def test_an_expression_in_an_axis_is_never_evaluated(tmp_path, suffix, lazy):
    path = hspy(tmp_path / "a.hspy", functional(tmp_path / "ran")).rename(tmp_path / f"a{suffix}")
    with pytest.warns(UserWarning, match=rf"a\{suffix}: its pixel size is unknown: its axis 'y' is a function"):
        image = temlib.load_micrograph(path, lazy=lazy)
    assert image.data.shape == SHAPE
    assert temlib.pixel_size_of(image) is None
    assert temlib.pixel_size_of(temlib.load_micrograph(path, 2.0)) == (2, 2)
    assert not (tmp_path / "ran").exists()


def test_labels_and_painters_evaluate_nothing(tmp_path):
    path = hspy(tmp_path / "a.hspy", functional(tmp_path / "ran"))
    with pytest.warns(UserWarning, match="is a function of another"):
        assert temlib.load_labels(path).shape == SHAPE
    with pytest.warns(UserWarning, match="is a function of another"):
        temlib.LabelPainter(path, tmp_path / "labels")
    assert not (tmp_path / "ran").exists()


def test_an_expression_along_navigation_leaves_the_pixel_size(tmp_path):
    path = hspy(tmp_path / "a.hspy", functional(tmp_path / "ran"), [{"name": "tilt", "units": "deg"}])
    with pytest.warns(UserWarning, match="its axis 'tilt' is a function .* its frames are counted"):
        stack = temlib.load_micrograph(path)
    assert stack.data.shape == (3, *SHAPE)
    assert temlib.pixel_size_of(stack) == (0.5, 0.5)
    assert not (tmp_path / "ran").exists()


def test_a_package_is_not_imported_and_other_groups_are_not_opened(tmp_path, monkeypatch):
    (tmp_path / "a_package_of_somebody.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def change(group):
        group.attrs.update({"package": "a_package_of_somebody", "package_version": "1"})
        group["metadata"].attrs["package"] = group["metadata/Signal"].attrs["_type"] = "a_package_of_somebody"
        group.create_group("metadata/Markers/one").attrs["class"] = "a_package_of_somebody"
        group.require_group("learning_results").create_dataset("_list_x", (10**10,), "f8", chunks=(10**6,))
        group["metadata/_sig_circle"] = group
        group.file.create_group("Analysis/models/one").attrs["_signal"] = group.name

    for lazy in (False, True):
        image = temlib.load_micrograph(hspy(tmp_path / f"{lazy}.hspy", change), lazy=lazy)
        assert np.array_equal(np.asarray(image.data), np.zeros(SHAPE))
    assert "a_package_of_somebody" not in sys.modules
    assert not (tmp_path / "ran").exists()


def test_words_of_a_file_are_one_short_line(tmp_path):
    def change(group):
        group["metadata/General"].attrs["title"] = "one\ntwo\x1b[31m $a_{$" + "x" * 5000
        group["axis-0"].attrs.update({"name": np.arange(9), "units": "furlong\n" + "y" * 900, "navigate": np.zeros(4)})

    with pytest.warns(UserWarning, match="no unit of length") as caught:
        image = temlib.load_micrograph(hspy(tmp_path / "a.hspy", change))
    assert str(caught[0].message).isprintable()
    title = image.metadata.General.title
    assert title.startswith("one two")
    assert title.isprintable()
    assert len(title) <= 200


@pytest.mark.parametrize("scale", ["__import__('os').system('id')", "wide", np.arange(5.0)])
def test_a_scale_that_is_no_number_is_no_pixel_size(tmp_path, scale):
    path = hspy(tmp_path / "a.hspy", lambda group: group["axis-0"].attrs.update({"scale": scale}))
    if isinstance(scale, str):
        with pytest.warns(UserWarning, match="its axis 'y' has a scale that is no number"):
            image = temlib.load_micrograph(path)
    else:
        image = temlib.load_micrograph(path)
    assert temlib.pixel_size_of(image) is None


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"data": np.array([["a"] * 4] * 4, dtype=h5py.string_dtype())}, "of dtype object"),
        ({"shape": (4, 4), "dtype": h5py.ref_dtype}, "of dtype object"),
        ({"data": np.zeros((4, 4), [("a", "f4"), ("b", "i4")])}, "no grey levels"),
        ({"data": np.zeros((4, 4), "V8")}, "no grey levels"),
        ({"data": 3.0}, "a spectrum or profile"),
        ({"data": h5py.Empty("f4")}, "no data"),
        ({"shape": SHAPE, "dtype": "u1", "maxshape": (None, None), "chunks": (60000, 60000)}, "in pieces of 3.35 GiB"),
    ],
)
def test_data_that_are_no_grey_levels_are_refused(tmp_path, made, reason):
    def change(group):
        del group["data"]
        group.create_dataset("data", **made)

    path = hspy(tmp_path / "a.hspy", change)
    assert reason in refusal(path)
    assert reason in refusal(path, lazy=True)


@pytest.mark.parametrize("shape", [(10**6, 10**6), (10**7, 1024, 1024), (10**12, *SHAPE)])
@pytest.mark.parametrize("chunks", [None, True])
def test_a_small_file_that_claims_much_is_weighed_before_it_is_read(tmp_path, shape, chunks):
    def change(group):
        del group["data"]
        group.create_dataset("data", shape, "u1", chunks=chunks)

    path = hspy(tmp_path / "a.hspy", change, [{"name": "time"}] * (len(shape) - 2))
    assert path.stat().st_size < 10**5
    assert "more than the memory that is free; pass lazy=True" in refusal(path)
    if shape[0] > 10**8:
        assert "in very many pieces" in refusal(path, lazy=True)
    else:
        assert temlib.load_micrograph(path, lazy=True).data.shape == shape


def test_a_store_that_claims_much_is_weighed(tmp_path):
    def change(folder):
        described = json.loads((folder / "data/.zarray").read_text())
        (folder / "data/.zarray").write_text(json.dumps(described | {"shape": [10**6, 10**6]}))

    path = zspy(tmp_path / "a.zspy", change)
    assert "pass lazy=True" in refusal(path)
    assert temlib.load_micrograph(path, lazy=True).data.shape == (10**6, 10**6)


def outside(folder, name):
    shutil.copytree(folder, folder.parents[2] / "elsewhere")
    part = folder / name
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    part.symlink_to(folder.parents[2] / "elsewhere" / name)


@pytest.mark.parametrize("part", ["data/0/0", "data", "axis-0/.zattrs", "metadata"])
def test_a_link_out_of_a_store_is_not_followed(tmp_path, part):
    path = zspy(tmp_path / "a.zspy", lambda folder: outside(folder, part))
    assert f"{part} is kept outside of it" in refusal(path)
    assert f"{part} is kept outside of it" in refusal(path, lazy=True)


def test_a_link_within_a_store_and_a_link_to_it_are_followed(tmp_path):
    path = zspy(tmp_path / "a.zspy", lambda folder: (folder / "again").symlink_to(folder))
    (tmp_path / "b.zspy").symlink_to(path)
    assert temlib.load_micrograph(tmp_path / "b.zspy").data.shape == SHAPE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    assert "is no file" in refusal(tmp_path / "a.tif")
    path = zspy(tmp_path / "a.zspy", lambda folder: ((folder / "data/0/0").unlink(), os.mkfifo(folder / "data/0/0")))
    assert "is no file" in refusal(path)


OBJECT = {"filters": [{"id": "pickle"}], "compressor": None}


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        ({"filters": [{"id": "pickle"}], "compressor": None}, "is stored by pickle"),
        ({"compressor": {"id": "pickle"}}, "is stored by pickle"),
        ({"compressor": {"id": ["blosc"]}}, "is stored by"),
        (OBJECT | {"dtype": "|O", "fill_value": None}, "holds no plain numbers"),
        (OBJECT | {"dtype": [["a", "|O"], ["b", "<f4"]], "fill_value": "EVIL"}, "holds no plain numbers"),
        ({"filters": [{"id": "astype", "encode_dtype": "|O", "decode_dtype": "|u1"}]}, "holds no plain numbers"),
        ({"chunks": [10**6, 10**6]}, "in pieces of 931 GiB"),
        ({"shape": [-4, 10**7]}, "a shape that is none"),
        ({"chunks": [0, 0]}, "a shape that is none"),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_no_codec_of_a_store_makes_objects(tmp_path, described, reason, lazy):
    evil = pickle.dumps(Evil(tmp_path / "ran"))

    def change(folder):
        if "fill_value" in described:
            described["fill_value"] = base64.b64encode(evil).decode()
        file = folder / "data/.zarray"
        file.write_text(json.dumps(json.loads(file.read_text()) | described))
        (folder / "data/0/0").write_bytes(evil)
        elsewhere = folder / "metadata/array"
        elsewhere.mkdir()
        (elsewhere / ".zarray").write_text(file.read_text())

    assert reason in refusal(zspy(tmp_path / "a.zspy", change), lazy=lazy)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ("[" * 200000, "cannot be read"),
        ('{"a": "' + "x" * 2**22 + '"}', "is larger than 4 MiB"),
        ("{", "cannot be read"),
    ],
)
def test_attributes_of_a_store_that_are_none(tmp_path, attributes, reason):
    path = zspy(tmp_path / "a.zspy", lambda folder: (folder / "axis-0/.zattrs").write_text(attributes))
    assert reason in refusal(path)


def test_a_zipped_store_is_read_and_no_name_leads_out_of_it(tmp_path):
    path = zspy(tmp_path / "b.zspy", lambda folder: None)
    shutil.make_archive(str(tmp_path / "a"), "zip", path)
    (tmp_path / "a.zip").rename(tmp_path / "a.zspy")
    for lazy in (False, True):
        image = temlib.load_micrograph(tmp_path / "a.zspy", lazy=lazy)
        assert np.asarray(image.data).shape == SHAPE
        assert temlib.pixel_size_of(image) == (0.5, 0.5)
    (tmp_path / "c.zspy").write_bytes(b"neither a folder nor a zip")
    assert "cannot be read" in refusal(tmp_path / "c.zspy")


def test_readers_that_evaluate_what_a_file_says_are_not_used(tmp_path):
    (tmp_path / "a.nc").write_bytes(b"CDF\x01" + bytes(64))
    for reader in ("netCDF", "os", "picture", ""):
        assert f"cannot be read by {reader!r}" in refusal(tmp_path / "a.nc", reader=reader)


def circle(entry):
    entry["again"] = entry
    entry["and again"] = entry


def many_names(entry):
    for number in range(40):
        group = entry.file.create_group(f"group {number}")
        entry["a"] = entry["b"] = group
        entry = group


@pytest.mark.parametrize("links", [circle, many_names])
def test_a_walk_through_linked_groups_comes_to_an_end(tmp_path, links):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["data"] = np.zeros(SHAPE)
        links(entry)
    assert "its groups are linked in circles, or very often" in refusal(tmp_path / "a.nxs")


def test_an_axis_that_claims_much_is_not_read(tmp_path):
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = np.zeros(SHAPE)
        for number in (1, 2):
            axis = group.create_dataset(f"dim{number}", (10**12,), "f8", chunks=(10**5,))
            axis.attrs.update({"name": "x", "units": "[n_m]"})
    assert "is larger than the memory that is free" in refusal(tmp_path / "a.emd")


@pytest.mark.parametrize("unit", ["9**9**9**9", "[9^9^9^9]", "9⁹⁹⁹⁹⁹⁹⁹⁹"])
def test_a_unit_is_not_calculated(tmp_path, unit):
    """RosettaSciIO gives the units of Berkeley's and of Velox's files to pint, which computes powers to their end."""
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = np.zeros(SHAPE)
        for number, size in enumerate(SHAPE, start=1):
            group[f"dim{number}"] = np.arange(size)
            group[f"dim{number}"].attrs.update({"name": "x", "units": unit})
    assert "has a unit that is none" in refusal(tmp_path / "a.emd")
    path = hspy(tmp_path / "a.hspy", lambda group: group["axis-0"].attrs.update({"units": unit}), [{"name": "tilt"}])
    (tilt,) = temlib.load_micrograph(path).axes_manager.navigation_axes
    assert "9" not in str(tilt.units)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda group: said(group, b'"m"', b'"9**9**9**9"'), "has a unit that is none"),
        (lambda group: said(group, b'{"', b"["), "cannot be read"),
        (lambda group: claimed(group, "Metadata", (10**11, 1), (10**6, 1)), "declares more than it can hold"),
        (lambda group: claimed(group, "Data", (10**6, 10**6, 10), (100, 100, 1)), "declares more than it can hold"),
    ],
)
def test_images_of_velox_are_looked_at_before_they_are_read(tmp_path, change, reason):
    write_velox(tmp_path / "a.emd", {"HAADF": np.zeros((8, 8, 1), np.uint16)})
    with h5py.File(tmp_path / "a.emd", "a") as file:
        change(file["Data/Image/HAADF0"])
    assert reason in refusal(tmp_path / "a.emd")
    assert reason in refusal(tmp_path / "a.emd", lazy=True)


def said(group, word, other):
    text = group["Metadata"][:, 0].tobytes().rstrip(b"\0").replace(word, other, 1)
    group["Metadata"][:, 0] = np.frombuffer(text.ljust(1000, b"\0"), np.uint8)


def claimed(group, name, shape, chunks):
    del group[name]
    group.create_dataset(name, shape, "u1", chunks=chunks)[0, 0] = 1


@pytest.mark.parametrize("lazy", [False, True])
def test_a_detectors_mask_and_times_that_claim_much_are_not_read(tmp_path, lazy):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        detector = file.create_group("entry/instrument/detector")
        detector.attrs["NX_class"] = "NXdetector"
        detector["data"] = np.zeros((2, *SHAPE), np.uint16)
        detector.create_dataset("count_time", (10**12,), "f8", chunks=(10**5,))[0] = 1
    (axis,) = temlib.load_micrograph(tmp_path / "a.nxs", lazy=lazy).axes_manager.navigation_axes
    assert axis.name == "frame"
    with h5py.File(tmp_path / "a.nxs", "a") as file:
        file["entry/instrument/detector"].create_dataset("pixel_mask", (10**6, 10**6), "u4", chunks=(100, 100))
    assert "its pixel mask has shape (1000000, 1000000)" in refusal(tmp_path / "a.nxs", lazy=lazy)
