"""MRC files of either byte order, of every mode, and what a cell says of pixels."""

import struct

import numpy as np
import pytest

import temlib

IMOD = b"IMOD"


def write(
    path, data, mode, *, order="<", cell=None, samples=None, imod=None, order_of_axes=(1, 2, 3), extended=b"", **header
):
    """Write data of shape (sections, height, width) by the standard of 2014; a cell of 5 Å a pixel by default."""
    data = data if data.ndim > 2 else data[None]
    size = data.shape[::-1]
    integers = np.zeros(256, f"{order}i4")
    integers[:4] = *size, mode
    integers[7:10] = size if samples is None else samples
    integers[16:19], integers[23] = order_of_axes, len(extended)
    floats = integers.view(f"{order}f4")
    floats[10:13] = [5 * n for n in size] if cell is None else cell
    floats[19:22] = header.get("levels", (0, -1, -2))  # not determined
    raw = bytearray(integers.tobytes())
    raw[208:216] = b"MAP " + header.get("stamp", b"DA\0\0" if order == "<" else b"\x11\x11\0\0")
    if imod is not None:
        raw[152:160] = (IMOD if order == "<" else IMOD[::-1]) + struct.pack(f"{order}i", imod)
    path.write_bytes(bytes(raw) + extended + data.astype(data.dtype.newbyteorder(order)).tobytes())
    return path


def grey(dtype, shape=(6, 9)):
    return (np.arange(np.prod(shape)).reshape(shape) % 100).astype(dtype)


@pytest.mark.parametrize("suffix", ["mrc", "mrcs", "map", "st", "MRC"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("mode", "dtype"), [(0, "i1"), (1, "i2"), (2, "f4"), (6, "u2"), (12, "f2")])
def test_both_byte_orders_and_every_mode_are_read(tmp_path, suffix, order, mode, dtype):
    data = grey(dtype, (2, 6, 9)) - np.array(3, dtype)
    path = write(tmp_path / f"a.{suffix}", data, mode, order=order)
    for lazy in (False, True):
        image = temlib.load_micrograph(path, lazy=lazy)
        assert image.data.dtype == dtype
        assert np.array_equal(np.asarray(image.data), data)
        assert temlib.pixel_size_of(image) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("stamp", [b"\0\0\0\0", b"DA\0\0", b"\x11\x11\0\0"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_byte_order_is_that_in_which_the_header_makes_sense(tmp_path, order, stamp):
    data = grey("i2")
    image = temlib.load_micrograph(write(tmp_path / "a.mrc", data, 1, order=order, stamp=stamp))
    assert np.array_equal(image.data, data)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("said", "dtype"),
    [
        ({}, "i1"),
        ({"imod": 1}, "i1"),
        ({"imod": 5}, "i1"),
        ({"imod": 0}, "u1"),
        ({"imod": 4}, "u1"),
        ({"levels": (-90, 50, 3)}, "i1"),
        ({"levels": (0, 100, 3)}, "i1"),
        ({"levels": (60, 200, 170)}, "u1"),
        ({"levels": (60, 200, 170), "imod": 1}, "i1"),
        ({"levels": (0, 1e30, 170)}, "i1"),
    ],
)
def test_bytes_are_signed_unless_the_file_says_otherwise(tmp_path, order, said, dtype):
    data = np.arange(256).astype("u1").reshape(16, 16)
    image = temlib.load_micrograph(write(tmp_path / "a.mrc", data, 0, order=order, **said))
    assert np.array_equal(image.data, data.view(dtype))


@pytest.mark.parametrize(
    "said",
    [
        {"samples": (0, 0, 0)},
        {"samples": (-9, 6, 1)},
        {"cell": (0, 0, 0)},
        {"cell": (-9, -6, -1)},
        {"cell": (-90, -60, -10)},
        {"cell": (90, -60, -10)},
        {"cell": (np.nan, np.nan, 1)},
        {"cell": (np.inf, np.inf, 1)},
        {"cell": (1e30, 1e30, 1)},
        {"cell": (1e-30, 1e-30, 1)},
        {"samples": (0, 0, 0), "cell": (0, 0, 0)},
    ],
)
@pytest.mark.filterwarnings("ignore:.*its pixel size is unknown:UserWarning")
def test_a_cell_of_nonsense_is_no_pixel_size(tmp_path, said):
    path = write(tmp_path / "a.mrc", grey("f4"), 2, **said)
    for lazy in (False, True):
        assert temlib.pixel_size_of(temlib.load_micrograph(path, lazy=lazy)) is None


def test_height_and_width_of_a_pixel_are_told_apart(tmp_path):
    cell = (9 * 2.0, 6 * 30.0, 1)
    assert temlib.pixel_size_of(temlib.load_micrograph(write(tmp_path / "a.mrc", grey("f4"), 2, cell=cell))) == (
        3.0,
        0.2,
    )
    turned = write(
        tmp_path / "b.mrc", grey("f4"), 2, cell=(6 * 30.0, 9 * 2.0, 1), samples=(6, 9, 1), order_of_axes=(2, 1, 3)
    )
    assert temlib.pixel_size_of(temlib.load_micrograph(turned)) == (3.0, 0.2)


def test_the_pixel_size_of_fei_is_in_the_extended_header(tmp_path):
    extended = np.zeros((1024, 32), "<f4")
    extended[0, 11] = 3e-10
    path = write(tmp_path / "a.mrc", grey("i2"), 1, cell=(0, 0, 0), extended=extended.tobytes())
    image = temlib.load_micrograph(path)
    assert np.array_equal(image.data, grey("i2"))
    assert temlib.pixel_size_of(image) == pytest.approx((0.3, 0.3))


@pytest.mark.parametrize("mode", [3, 4, 16, 7, 101, -1, 2**30])
def test_modes_that_are_no_grey_levels_are_named(tmp_path, mode):
    stored = {3: "i4", 4: "c8", 16: "V3"}.get(mode, "i4")
    path = write(tmp_path / "a.mrc", np.zeros((6, 9), stored), mode)
    if mode == 16:
        assert temlib.load_micrograph(path).data.shape == (6, 9)
        return
    reason = {3: "no grey levels", 4: "complex numbers"}.get(mode, "is no MRC file, or of mode")
    with pytest.raises(temlib.MicrographError, match=reason):
        temlib.load_micrograph(path)


@pytest.mark.parametrize(
    "content", [b"", bytes(1023), bytes(4096), b"x" * 4096, b'{"version": 3, "mappings": ""}' * 99]
)
def test_what_is_no_mrc_is_refused_in_a_line(tmp_path, content):
    (tmp_path / "a.map").write_bytes(content)
    with pytest.raises(temlib.MicrographError, match=r"a\.map: "):
        temlib.load_micrograph(tmp_path / "a.map")


def test_a_large_one_is_weighed_before_it_is_read(tmp_path):
    path = write(tmp_path / "a.mrc", np.zeros((1, 8, 8), "f4"), 2)
    header = np.fromfile(path, "<i4", 256)
    header[:3] = 2**15, 2**15, 2**10
    path.write_bytes(header.tobytes())
    with path.open("r+b") as file:
        file.truncate(1024 + 2**42)  # takes no room on a disk
    with pytest.raises(temlib.MicrographError, match=r"a\.mrc: needs 4.1e\+03 GiB, more than .* pass lazy=True"):
        temlib.load_micrograph(path)
    stack = temlib.load_micrograph(path, lazy=True)
    assert stack.data.shape == (2**10, 2**15, 2**15)
    assert stack.data[7, :2, :2].compute().tolist() == [[0, 0], [0, 0]]


def test_a_file_that_shrinks_after_it_was_opened_is_named(tmp_path):
    path = write(tmp_path / "a.mrc", grey("f4"), 2)
    image = temlib.load_micrograph(path, lazy=True)
    path.write_bytes(b"")
    with pytest.raises(temlib.MicrographError, match=r"a\.mrc: cannot be read"):
        np.asarray(image.data)
