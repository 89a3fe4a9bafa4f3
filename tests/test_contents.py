"""What is taken of a reader's dictionary: axes of any kind and order, singletons, words, memory."""

import os
import subprocess
import sys

import dask.array as da
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import temlib
from temlib.files import contents
from temlib.files.contents import Contents, frame_chunks, from_dictionary, in_memory
from temlib.files.micrographs import micrograph

SHAPE = (6, 9)


def described(*axes):
    return from_dictionary({"data": np.zeros([axis["size"] for axis in axes]), "axes": list(axes)})


def axis(size, navigate=None, **more):
    return {"size": size, "scale": 0.5, "units": "nm"} | ({} if navigate is None else {"navigate": navigate}) | more


@settings(max_examples=60, deadline=None)
@given(st.permutations(["y", "x", 1, 1]), st.booleans(), st.booleans())
def test_an_axis_of_length_1_is_dropped_wherever_it_is(order, lazy, said):
    order = order if order.index("y") < order.index("x") else order[::-1]
    image = np.arange(54.0).reshape(SHAPE)
    shape = [dict(zip("yx", SHAPE, strict=True)).get(name, 1) for name in order]
    data = da.from_array(image.reshape(shape)) if lazy else image.reshape(shape)
    found = from_dictionary({"data": data, "axes": [axis(n, i < 2 if said else None) for i, n in enumerate(shape)]})
    assert np.array_equal(np.asarray(found.data), image)
    assert [a.navigate for a in found.axes] == [False, False]


def test_a_stack_of_one_frame_is_an_image_and_an_image_of_one_row_stays_one():
    assert described(axis(1, True), axis(6, False), axis(9, False)).data.shape == SHAPE
    row = described(axis(1, False), axis(5000, False))
    assert row.data.shape == (1, 5000)
    assert len(row.signal_axes) == 2
    spectra = described(axis(1, True), axis(6, True), axis(2048, False))
    assert [a.navigate for a in spectra.axes] == [True, False]  # no image of 6 x 2048


def test_axes_are_put_in_order():
    data = np.arange(4 * 54).reshape(6, 4, 9)
    axes = [axis(6, False, name="y"), axis(4, True, name="time"), axis(9, False, name="x", index_in_array=2)]
    found = from_dictionary({"data": data, "axes": axes})
    assert [a.name for a in found.axes] == ["time", "y", "x"]
    assert np.array_equal(found.data, data.swapaxes(0, 1))


@pytest.mark.parametrize(
    ("axes", "navigation"),
    [
        ([axis(6), axis(9)], 0),
        ([axis(4), axis(6), axis(9)], 1),
        ([axis(6, True), axis(9, True)], 0),  # a map
        ([axis(4, False), axis(6, False), axis(9, False)], 1),  # an array of HDF5
        ([], 1),
    ],
)
def test_where_a_file_does_not_say_the_last_two_axes_are_the_image(axes, navigation):
    data = np.zeros([a["size"] for a in axes] or (4, *SHAPE))
    found = from_dictionary({"data": data, "axes": axes})
    assert len(found.navigation_axes) == navigation
    assert found.data.shape == data.shape


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("start", [0.0, -3.0, 1000.0])
def test_positions_that_are_evenly_spaced_are_a_scale(dtype, start):
    positions = (start + 0.25 * np.arange(9)).astype(dtype)
    (x,) = described(axis(6, True), {"axis": positions, "size": 9, "units": "nm", "navigate": False}).signal_axes
    assert x.scale == pytest.approx(0.25, rel=1e-3)
    assert not x.flaw


@pytest.mark.parametrize(
    "positions",
    [
        np.arange(9.0) ** 2,
        np.geomspace(1, 2, 9),
        np.r_[np.arange(8.0), 8.5],
        np.zeros(9),
        np.arange(8.0),
        np.full(9, np.nan),
        np.array(list("abcdefghi")),
        np.zeros((9, 2)),
        ["x"] * 9,
    ],
)
def test_other_positions_are_no_scale(positions):
    (x,) = described(axis(6, True), {"axis": positions, "size": 9, "units": "nm", "navigate": False}).signal_axes
    assert x.flaw


def test_an_axis_of_positions_in_a_file(tmp_path):
    for name, positions in (("even", 0.5 * np.arange(9)), ("uneven", 0.5 * np.arange(9) ** 1.2)):
        micrograph(np.zeros(SHAPE, np.uint8), 0.5).save(tmp_path / f"{name}.hspy")
        with h5py.File(tmp_path / f"{name}.hspy", "a") as file:
            group = next(iter(file["Experiments"].values()))["axis-1"]
            del group.attrs["scale"], group.attrs["offset"]
            group.attrs["_type"] = "DataAxis"
            group["axis"] = positions
    assert temlib.pixel_size_of(temlib.load_micrograph(tmp_path / "even.hspy")) == pytest.approx((0.5, 0.5))
    with pytest.warns(UserWarning, match=r"uneven\.hspy: .* its axis 'x' is not evenly spaced; pass pixel_size_nm="):
        assert temlib.pixel_size_of(temlib.load_micrograph(tmp_path / "uneven.hspy")) is None


@pytest.mark.parametrize(
    ("scale", "unit", "reason"),
    [
        (7.0, "furlong", "it is in 'furlong', no unit of length"),
        (0.0, "m", "it is 0 m"),
        (np.nan, "nm", "it is nan nm"),
        (1e-9, "nm", "it is 1e-09 nm"),
    ],
)
def test_a_calibration_that_is_not_understood_is_named(tmp_path, scale, unit, reason):
    signal = micrograph(np.zeros(SHAPE))
    for each in signal.axes_manager.signal_axes:
        each.scale, each.units = scale, unit
    signal.save(tmp_path / "a.hspy")
    with pytest.warns(UserWarning, match=f"a.hspy: its pixel size is unknown: {reason}") as caught:
        image = temlib.load_micrograph(tmp_path / "a.hspy")
    (warning,) = [each for each in caught if "pixel size" in str(each.message)]
    assert warning.filename == __file__
    assert temlib.pixel_size_of(image) is None


@pytest.mark.parametrize("unit", ["nm^-1", "nm⁻¹", "A^-1", "1/nm", "1/Å", "deg", "mrad", "2pi/nm"])
def test_reciprocal_units_are_diffraction(tmp_path, unit):
    signal = micrograph(np.zeros(SHAPE))
    for each in signal.axes_manager.signal_axes:
        each.scale, each.units = 0.01, unit
    signal.save(tmp_path / "a.hspy")
    with pytest.raises(temlib.MicrographError, match="a diffraction pattern"):
        temlib.load_micrograph(tmp_path / "a.hspy")


@pytest.mark.parametrize("lazy", [False, True])
def test_colours_of_hyperspy_become_grey(tmp_path, lazy):
    data = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    data["R"], data["G"], data["B"] = 100, 200, 50
    micrograph(data).save(tmp_path / "a.hspy")
    image = np.asarray(temlib.load_micrograph(tmp_path / "a.hspy", lazy=lazy).data)
    assert image.dtype == np.uint8
    assert np.all(image == round(0.2126 * 100 + 0.7152 * 200 + 0.0722 * 50))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 10**9), min_size=2, max_size=3),
    st.integers(1, 50),
    st.sampled_from(["u1", "f4", "f8"]),
)
def test_chunks_are_whole_frames_and_not_too_many(shape, stored, dtype):
    chunks = frame_chunks(shape, np.dtype(dtype), stored)
    assert chunks[-2:] == tuple(shape[-2:])
    assert -(-shape[0] // chunks[0]) <= 10**5


def test_what_does_not_fit_is_not_read(monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("", (), {"available": 400}))
    large = da.from_array(np.zeros((8, 8)), chunks=(2, 8))
    with pytest.raises(
        temlib.MicrographError, match=r"a\.x: needs .* more than the memory that is free; pass lazy=True"
    ):
        in_memory(large, "a.x")
    assert in_memory(large[:6], "a.x").shape == (6, 8)


def test_what_is_read_is_no_view_of_the_file(tmp_path):
    np.zeros((8, 8)).tofile(tmp_path / "raw")
    mapped = np.memmap(tmp_path / "raw", float, "r+", shape=(8, 8))
    for data in (mapped, da.from_array(mapped), da.from_array(mapped, chunks=(3, 8))):
        read = in_memory(data, "raw")
        assert read.flags.owndata
        read += 1
    assert not mapped.any()


def test_pieces_are_counted():
    many = da.zeros((2000, 2000), chunks=(1, 1))
    for read in (contents.left_in_file, in_memory):
        with pytest.raises(temlib.MicrographError, match="in very many pieces"):
            read(many, "a.x")


def test_contents_know_their_axes():
    found = from_dictionary({"data": np.zeros((4, *SHAPE)), "axes": [], "metadata": {"General": {"title": b"t"}}})
    assert isinstance(found, Contents)
    assert (found.title, found.kind) == ("t", "")
    assert [a.size for a in found.signal_axes] == list(SHAPE)


@pytest.mark.parametrize("home", [os.devnull, "/nonexistent/home"])
def test_a_home_that_cannot_be_written_keeps_nothing_from_being_read(tmp_path, home):
    temlib.save_micrograph(micrograph(np.zeros(SHAPE, np.uint8), 0.5), tmp_path / "a.hspy")
    code = "import sys, temlib; print(temlib.pixel_size_of(temlib.load_micrograph(sys.argv[1])))"
    read_only = tmp_path / "home"
    read_only.mkdir()
    read_only.chmod(0o500)
    environment = os.environ | dict.fromkeys(
        ("HOME", "USERPROFILE"), home if home == os.devnull else str(read_only / "x")
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.hspy")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "(0.5, 0.5)", done.stderr
