import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import temlib
from temlib.files.grey_levels import GreyLevels, normalise
from temlib.files.micrographs import as_array, micrograph, with_axes_of
from temlib.files.reading import READABLE
from temlib.writing import write_atomically


@pytest.mark.parametrize(
    ("unit", "nanometres"),
    [
        ("m", 1e9),
        ("mm", 1e6),
        ("um", 1e3),
        ("µm", 1e3),
        ("μm", 1e3),
        ("nm", 1),
        ("n_m", 1),
        ("A", 0.1),
        ("Å", 0.1),
        ("pm", 1e-3),
    ],
)
def test_every_spelling_of_a_unit_becomes_nanometres(tmp_path, unit, nanometres):
    signal = micrograph(np.zeros((4, 6)), 1)
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 0.25 / nanometres, unit
    signal.save(tmp_path / "a.hspy")
    loaded = temlib.load_micrograph(tmp_path / "a.hspy")
    assert temlib.pixel_size_of(loaded) == pytest.approx((0.25, 0.25))
    assert [axis.units for axis in loaded.axes_manager.signal_axes] == ["nm", "nm"]


@pytest.mark.parametrize("unit", ["", "px", "furlong", "1/nm2"])
def test_unknown_pixel_size_is_unknown_and_not_one(tmp_path, unit):
    signal = micrograph(np.zeros((4, 6)))
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 7.0, unit
    signal.save(tmp_path / "a.hspy")
    if unit.startswith("1/"):
        with pytest.raises(temlib.MicrographError, match="diffraction"):
            temlib.load_micrograph(tmp_path / "a.hspy")
    else:
        assert temlib.pixel_size_of(temlib.load_micrograph(tmp_path / "a.hspy")) is None


def test_printing_resolution_is_no_pixel_size(tmp_path):
    from PIL import Image

    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.tif", dpi=(72, 72))
    assert temlib.pixel_size_of(temlib.load_micrograph(tmp_path / "a.tif")) is None


def test_given_pixel_size_wins_and_may_be_anisotropic(tmp_path):
    temlib.save_micrograph(micrograph(np.zeros((4, 6)), 3), tmp_path / "a.hspy")
    assert temlib.pixel_size_of(temlib.load_micrograph(tmp_path / "a.hspy", 0.5)) == (0.5, 0.5)
    assert temlib.pixel_size_of(temlib.load_micrograph(tmp_path / "a.hspy", (0.5, 2))) == (0.5, 2)
    with pytest.raises(temlib.MicrographError, match="pixel_size_nm=-1"):
        temlib.load_micrograph(tmp_path / "a.hspy", -1)


def test_colour_becomes_grey_by_luma(tmp_path):
    from PIL import Image

    rgb = np.zeros((5, 5, 3), np.uint8)
    rgb[..., 0], rgb[..., 1], rgb[..., 2] = 100, 200, 50
    Image.fromarray(rgb).save(tmp_path / "a.png")
    image = temlib.load_micrograph(tmp_path / "a.png").data
    assert image.dtype == np.uint8
    assert np.all(image == round(0.2126 * 100 + 0.7152 * 200 + 0.0722 * 50))


def test_grey_png_is_read_exactly(tmp_path):
    from PIL import Image

    grey = np.arange(60, dtype=np.uint8).reshape(6, 10)
    Image.fromarray(np.repeat(grey[..., None], 3, -1)).save(tmp_path / "a.png")
    assert np.array_equal(temlib.load_micrograph(tmp_path / "a.png").data, grey)


def test_a_single_image_mrc_is_read(tmp_path):
    data = np.arange(12, dtype=np.float32).reshape(3, 4)
    header = np.zeros(256, np.int32)
    header[:4] = 4, 3, 1, 2  # columns, rows, sections, mode 2: float32
    header[7:10] = 4, 3, 1
    header[10:13] = np.array([20, 15, 5], np.float32).view(np.int32)  # cell [A]
    header[16:19] = 1, 2, 3
    header[52] = int.from_bytes(b"MAP ", "little")
    header[53] = int.from_bytes(b"DA\0\0", "little")
    (tmp_path / "a.mrc").write_bytes(header.tobytes() + data.tobytes())
    loaded = temlib.load_micrograph(tmp_path / "a.mrc")
    assert np.array_equal(loaded.data, data)
    assert temlib.pixel_size_of(loaded) == pytest.approx((0.5, 0.5))


def test_an_empty_file_of_any_kind_is_said_to_be_empty(tmp_path):
    for kind in READABLE:
        if kind != "zspy":  # a folder
            (tmp_path / f"a.{kind}").touch()
            with pytest.raises(temlib.MicrographError, match=rf"^a\.{kind}: is empty \(0 bytes\)"):
                temlib.load_micrograph(tmp_path / f"a.{kind}")


@pytest.mark.parametrize("content", [b"not an image", b"\x89PNG\r\n\x1a\n" + bytes(20)])
def test_damaged_files_are_named(tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(temlib.MicrographError, match=r"broken\.png: cannot be read") as caught:
        temlib.load_micrograph(tmp_path / "broken.png")
    assert "\n" not in str(caught.value)


def test_missing_files_and_unknown_types_are_named(tmp_path):
    with pytest.raises(temlib.MicrographError, match="no such file"):
        temlib.load_micrograph(tmp_path / "none.dm4")
    (tmp_path / "a.pkl").write_bytes(b"")
    with pytest.raises(temlib.MicrographError, match=r"'\.pkl' are not read"):
        temlib.load_micrograph(tmp_path / "a.pkl")


def test_masks_keep_the_axes_and_nothing_is_overwritten(tmp_path):
    image = micrograph(np.zeros((4, 6)), (0.5, 2))
    mask = with_axes_of(image, np.eye(4, 6, dtype=bool))
    temlib.save_micrograph(mask, tmp_path / "new folder" / "mask.hspy")
    loaded = temlib.load_micrograph(tmp_path / "new folder" / "mask.hspy")
    assert np.array_equal(loaded.data, np.eye(4, 6))
    assert temlib.pixel_size_of(loaded) == (0.5, 2)
    with pytest.raises(temlib.MicrographError, match="overwrite=True"):
        temlib.save_micrograph(mask, tmp_path / "new folder" / "mask.hspy")


def test_a_failed_write_leaves_nothing_and_harms_nothing(tmp_path):
    (tmp_path / "a.txt").write_text("before")

    def fail(path):
        path.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(tmp_path / "a.txt", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "before"


shapes = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20)
floats = st.one_of(st.floats(-(2.0**100), 2.0**100, width=32), st.sampled_from([np.nan, np.inf, -np.inf]))
images = st.one_of(
    arrays(st.sampled_from([np.uint8, np.int16, np.uint16, bool]), shapes),
    arrays(st.sampled_from([np.float32, np.float64]), shapes, elements=floats),
)


@settings(deadline=None)
@given(images)
def test_normalised_grey_levels_lie_in_range(image):
    if not np.isfinite(image).any():
        with pytest.raises(temlib.MicrographError, match="no finite pixel"):
            normalise(image)
        return
    normal = normalise(image)
    assert normal.shape == image.shape
    assert normal.dtype == np.float32
    assert np.all(np.abs(normal) <= 1)


@settings(deadline=None)
@given(st.integers(0, 100), st.sampled_from([0.1, 1.0, 50.0]), st.sampled_from([-1000.0, 0.0, 300.0]))
def test_normalisation_forgets_gain_and_offset(seed, gain, offset):
    image = np.random.default_rng(seed).normal(size=(16, 16))
    np.testing.assert_allclose(normalise(gain * image + offset), normalise(image), atol=1e-4)


def test_normalisation_withstands_hot_pixels_and_nan():
    image = np.random.default_rng(0).normal(size=(64, 64))
    spoilt = image.copy()
    spoilt[3, 4], spoilt[5, 6] = 1e9, np.nan
    assert np.abs(normalise(spoilt) - normalise(image)).mean() < 0.01


def test_flat_image_is_zero_and_percentiles_are_those_given():
    assert not normalise(np.full((8, 8), 7)).any()
    ramp = np.linspace(0, 100, 10001).reshape(73, 137)
    clipped = normalise(ramp, GreyLevels(10, 90))
    assert np.mean(clipped == -1) == pytest.approx(0.1, abs=0.001)
    assert np.mean(clipped == 1) == pytest.approx(0.1, abs=0.001)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 3)])
def test_arrays_that_are_no_image_are_refused(shape):
    with pytest.raises(temlib.MicrographError, match="two dimensions"):
        as_array(np.zeros(shape))


@pytest.mark.parametrize(("suffix", "size"), [(".hspy", (0.5, 2)), (".tif", (0.5, 2)), (".png", None)])
def test_formats_keep_the_pixel_size_or_are_said_not_to(tmp_path, suffix, size):
    image = micrograph(np.arange(24, dtype=np.uint8).reshape(4, 6), (0.5, 2))
    path = temlib.save_micrograph(image, tmp_path / f"a{suffix}")
    loaded = temlib.load_micrograph(path)
    assert np.array_equal(loaded.data, image.data)
    assert temlib.pixel_size_of(loaded) == (None if size is None else pytest.approx(size))
    assert [file.name for file in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("compression", ["lzw", "deflate", "jpeg"])
def test_compressed_tif_is_read(tmp_path, compression):
    import tifffile

    grey = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    tifffile.imwrite(tmp_path / "a.tif", grey, compression=compression)
    loaded = temlib.load_micrograph(tmp_path / "a.tif").data
    assert np.abs(loaded.astype(int) - grey).max() <= (8 if compression == "jpeg" else 0)


@pytest.mark.parametrize("array", [np.array([[None, 1], [2, 3]]), np.array([["a", "b"]])])
def test_what_holds_no_numbers_is_no_micrograph(array):
    with pytest.raises(temlib.MicrographError, match="holds numbers"):
        as_array(array)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["uint8", "uint16"]), st.integers(1, 40), st.integers(1, 40))
def test_counts_are_normalised_as_any_numbers(seed, dtype, height, width):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, rng.integers(1, np.iinfo(dtype).max), (height, width)).astype(dtype)
    np.testing.assert_allclose(normalise(counts), normalise(counts.astype(np.float64)), atol=1e-6)


def test_a_stack_of_masks_keeps_its_axes_when_saved(tmp_path):
    stack = micrograph(np.ones((3, 4, 5), bool), 0.5, "masks", [{"name": "time", "scale": 0.1, "units": "s"}])
    read = temlib.load_micrograph(temlib.save_micrograph(stack, tmp_path / "m.hspy"))
    assert read.data.shape == (3, 4, 5)
    (time,) = read.axes_manager.navigation_axes
    assert (time.name, time.scale, time.units) == ("time", 0.1, "s")
    with pytest.raises(temlib.MicrographError, match="describe each of these axes"):
        micrograph(np.ones((3, 4, 5)))


def test_what_a_format_cannot_hold_is_said_in_a_line(tmp_path):
    with pytest.raises(temlib.TemlibError, match=r"a\.png: cannot be written"):
        temlib.save_micrograph(micrograph(np.ones((4, 5), np.int64)), tmp_path / "a.png")
    with pytest.raises(temlib.MicrographError, match=r"a\.zspy: .* HyperSpy's own save"):
        temlib.save_micrograph(micrograph(np.ones((4, 5))), tmp_path / "a.zspy")
    assert not list(tmp_path.iterdir())


@settings(max_examples=25, deadline=None)
@given(
    arrays(st.sampled_from([np.uint8, np.uint16, np.float32]), array_shapes(min_dims=2, max_dims=2, max_side=40)),
    st.floats(1e-3, 1e3).flatmap(lambda height: st.tuples(st.just(height), st.floats(height / 2, height * 2))),
    st.sampled_from(["hspy", "tif"]),
)
def test_what_is_saved_is_what_is_read(tmp_path_factory, data, pixel_size, suffix):
    path = tmp_path_factory.mktemp("saved") / f"m.{suffix}"
    read = temlib.load_micrograph(temlib.save_micrograph(micrograph(data, pixel_size), path))
    assert np.array_equal(read.data, data, equal_nan=True)
    assert temlib.pixel_size_of(read) == pytest.approx(pixel_size, rel=3e-5)  # a tif has eight decimals
