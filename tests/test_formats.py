"""Every file that we could get hold of: what is read from it, or why it is refused."""

import json
import re
import warnings

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

import temlib
from temlib.files.micrographs import micrograph

READ = {  # file: shape, height and width of a pixel [nm]
    "hyperspy-demos/stem_abf_data.hspy": ((512, 512), None),  # a scale without units
    "openncem/16_STOimage.emi": ((1024, 1024), (0.0100127, 0.0100127)),  # by way of its .ser
    "openncem/16_STOimage_1.ser": ((1024, 1024), (0.0100127, 0.0100127)),
    "openncem/Acquisition_18.emd": ((1024, 1024), (0.0122465, 0.0122465)),  # Berkeley's layout
    "openncem/Camera Ceta Imaging Micro.emd": ((512, 512), (3.13884, 3.13884)),  # Velox's
    "openncem/STEM HAADF Diffraction Micro.emd": ((128, 128), (87.3708, 87.3708)),  # the survey image, in um
    "openncem/dmTest_3D_int16_64,65,66.dm3": ((66, 65, 64), (3.0, 0.002)),  # a stack; nm and pm
    "openncem/dmTest_3D_int16_64,65,66.dm4": ((66, 65, 64), (3.0, 0.002)),
    "openncem/dmTest_float32_nonSquare_diffPixelSize.dm3": ((64, 128), (0.2, 1.0)),  # 2 A and 1 nm
    "openncem/dmTest_float32_nonSquare_diffPixelSize.dm4": ((64, 128), (0.2, 1.0)),
    "openncem/temp.mrc": ((3, 128, 128), (0.2, 0.2)),  # a stack
    "particlespy/JEOL HAADF Image.dm4": ((112, 112), (1.24901, 1.24901)),
    "particlespy/SiO2 HAADF Image.hspy": ((128, 128), (8.55245, 8.55245)),
    "pyxem-demos/au_xgrating_20cm.tif": ((256, 256), None),  # diffraction, which nothing in the file says
    "pyxem-demos/moo3_100kX.tif": ((254, 254), None),
    "pyxem-demos/moo3_20cm.tif": ((256, 256), None),
}
REFUSED = {
    "openncem/01_Si110_5images.emi": r"no data\); put its series 01_Si110_5images_1.ser beside it",
    "openncem/08_carbon.dm3": r"a spectrum or profile of shape \(2048,\)",
    "openncem/Camera Ceta Diffraction Micro.emd": "a diffraction pattern",
    "openncem/au_145mm_68kx_microprobe_01.h5": "a layout that temlib does not know; name a reader",
    "openncem/au_145mm_68kx_microprobe_01_master.h5": "its frames are in .*_data_000001.h5, which is not there",
    "openncem/emd_type1_stringDims.h5": r"a spectrum or profile of shape \(6, 5, 4, 3\)",
    "particlespy/SiO2 EDS Spectrum Image.hspy": "a spectrum",
    "pyxem-demos/Amorphous.hspy": "a diffraction pattern",  # axes in 1/nm
    "pyxem-demos/amorphousSiO2.hspy": "a spectrum or profile",
    "pyxem-demos/au_xgrating_100kX.hspy": "a diffraction pattern",  # by its type
}
SEVERAL = "openncem/STEM HAADF-DF4-DF2-BF Diffraction Micro.emd"


def refusal(path, **options):
    with pytest.raises(temlib.MicrographError) as caught:
        temlib.load_micrograph(path, **options)
    message = str(caught.value)
    assert message.startswith(path.name)
    assert "\n" not in message
    return message


def test_the_table_names_every_file(formats):
    there = {str(path.relative_to(formats)) for path in formats.rglob("*") if path.is_file()}
    assert there == {*READ, *REFUSED, SEVERAL}


@pytest.mark.parametrize("file", READ)
@pytest.mark.filterwarnings("error", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_files_of_many_microscopes(formats, file):
    shape, size = READ[file]
    for lazy in (False, True):
        signal = temlib.load_micrograph(formats / file, lazy=lazy)
        assert signal.data.shape == shape
        assert signal._lazy is lazy
        assert signal.axes_manager.navigation_dimension == len(shape) - 2
        assert temlib.pixel_size_of(signal) == (None if size is None else pytest.approx(size, rel=1e-4))


@pytest.mark.parametrize("file", REFUSED)
@pytest.mark.filterwarnings("error", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_no_micrograph_is_refused_in_one_line(formats, file, capfd):
    assert re.search(REFUSED[file], refusal(formats / file))
    assert capfd.readouterr().err == ""


def test_of_several_images_one_is_taken_by_a_rule_and_any_by_name(formats):
    said = r"holds 4 images; took 'HAADF', pass signal= \(--signal\) for another of 'HAADF', 'DF2'"
    with pytest.warns(UserWarning, match=said):
        first = temlib.load_micrograph(formats / SEVERAL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = {name: temlib.load_micrograph(formats / SEVERAL, signal=name) for name in ("HAADF", "BF", 2)}
    assert np.array_equal(first.data, named["HAADF"].data)
    assert np.array_equal(named["BF"].data, named[2].data)
    assert not np.array_equal(named["BF"].data, first.data)
    assert "has no signal 'EELS'; it holds 4: 'HAADF'" in refusal(formats / SEVERAL, signal="EELS")
    assert "has no signal 4" in refusal(formats / SEVERAL, signal=4)


def write_velox(path, images):
    """Write images, a map of spectra and a stream of them, as Velox 11 does."""

    def text(value):
        return {"data": np.array([json.dumps(value).encode()], dtype=object), "dtype": h5py.string_dtype()}

    said = {
        "BinaryResult": {"PixelSize": {"width": "2e-10", "height": "2e-10"}, "PixelUnitX": "m", "DetectorIndex": "0"},
        "Detectors": {"Detector-0": {"DetectorName": "HAADF"}},
        "Scan": {"FrameTime": "1"},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1500000000"}},
    }
    raw = np.frombuffer(json.dumps(said).encode().ljust(1000, b"\0"), np.uint8)
    with h5py.File(path, "w") as file:
        file.create_dataset("Version", **text({"format": "Velox", "version": "11"}))
        file.create_group("Data/SpectrumImage/of_the_map")
        file["Data/SpectrumStream/of_the_map/Data"] = np.full((100, 1), 65535, np.uint16)
        for title, data in images.items():
            group, place = (
                file.create_group(f"Data/Image/{title}0"),
                f"SharedProperties/ImageSeriesDataReference/{title}",
            )
            group.create_dataset("Data", data=data, chunks=True)
            group["Metadata"] = np.repeat(raw[:, None], data.shape[-1], axis=-1)
            file.create_dataset(place, **text({"dataPath": f"/Data/Image/{title}0"}))
            file.create_dataset(f"Displays/ImageDisplay/{title}", **text({"data": f"/{place}", "id": title}))


@pytest.mark.parametrize("lazy", [False, True])
def test_of_an_image_and_maps_of_elements_the_image_is_the_micrograph(tmp_path, lazy):
    rng = np.random.default_rng(0)
    images = {
        name: rng.integers(0, 99, (32, 40, frames)).astype("u2") for name, frames in (("Au", 1), ("HAADF", 3), ("O", 1))
    }
    write_velox(tmp_path / "a.emd", images)
    with pytest.warns(
        UserWarning, match=r"holds 3 images; took 'HAADF', pass signal= \(--signal\) for another of 'Au', 'HAADF', 'O'"
    ):
        image = temlib.load_micrograph(tmp_path / "a.emd", lazy=lazy)
    assert np.array_equal(np.asarray(image.data), images["HAADF"][..., 0])  # its first frame
    assert temlib.pixel_size_of(image) == pytest.approx((0.2, 0.2))
    gold = temlib.load_micrograph(tmp_path / "a.emd", signal="Au", lazy=lazy)
    assert np.array_equal(np.asarray(gold.data), images["Au"][..., 0])


def test_a_reader_can_be_named(formats):
    file = formats / "openncem" / "au_145mm_68kx_microprobe_01.h5"
    with pytest.warns(UserWarning, match="holds 3 images"):
        image = temlib.load_micrograph(file, reader="NeXus")
    assert image.data.shape == (64, 64)
    assert "cannot be read" in refusal(file, reader="Nonsense")


@pytest.mark.parametrize("lazy", [False, True])
def test_a_reader_that_leaves_nothing_in_the_file_is_asked_for_all(tmp_path, monkeypatch, lazy):
    """RosettaSciIO's reader for Delmic refuses to be lazy."""
    image = np.arange(48.0).reshape(6, 8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["Acquisition0/ImageData/Image"] = image[None, None, None]

    def file_reader(path, lazy):
        assert lazy is False
        return [{"data": image[None], "axes": [{"size": n, "scale": 1e-9, "units": "m"} for n in (1, 6, 8)]}]

    monkeypatch.setattr("rsciio.delmic.file_reader", file_reader)
    found = temlib.load_micrograph(tmp_path / "a.h5", reader="Delmic", lazy=lazy)
    assert found._lazy is lazy
    assert np.array_equal(np.asarray(found.data), image)
    assert temlib.pixel_size_of(found) == pytest.approx((1, 1))
    monkeypatch.setattr("temlib.files.memory.virtual_memory", lambda: type("", (), {"available": 100}))
    assert "are free; read what you need" in refusal(tmp_path / "a.h5", reader="Delmic", lazy=lazy)


def test_a_single_image_is_taken_before_a_stack_and_the_larger_one_first(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for shape in ((5, 40, 40), (8, 9), (20, 30)):
            file.write(np.zeros(shape, np.uint8), photometric="minisblack")
    with pytest.warns(UserWarning, match="holds 3 images"):
        assert temlib.load_micrograph(tmp_path / "a.tif").data.shape == (20, 30)
    assert temlib.load_micrograph(tmp_path / "a.tif", signal=0).data.shape == (5, 40, 40)


def test_a_stack_keeps_its_navigation_axis(tmp_path):
    import hyperspy.api as hs

    axes = [{"name": "time", "size": 3, "scale": 0.5, "offset": 2.0, "units": "s"}]
    axes += [{"name": n, "size": 4, "scale": -20.0, "units": "A"} for n in "yx"]
    data = np.arange(48).reshape(3, 4, 4)
    hs.signals.Signal2D(data, axes=axes).save(tmp_path / "a.hspy")
    for lazy in (False, True):
        stack = temlib.load_micrograph(tmp_path / "a.hspy", lazy=lazy)
        (time,) = stack.axes_manager.navigation_axes
        assert (time.name, time.size, time.scale, time.offset, time.units) == ("time", 3, 0.5, 2.0, "s")
        assert temlib.pixel_size_of(stack) == (2, 2)  # the negative scale of an axis that runs backwards
        assert np.array_equal(np.asarray(stack.data), data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (np.zeros((4, 5), np.complex64), "complex numbers"),
        (np.zeros((2, 3, 4, 5), np.float32), "more than one axis besides y and x"),
    ],
)
def test_signals_that_are_no_grey_levels_are_refused(tmp_path, data, reason):
    import hyperspy.api as hs

    hs.signals.Signal2D(data).save(tmp_path / "a.hspy")
    assert reason in refusal(tmp_path / "a.hspy")


def test_an_array_may_lie_in_a_file_beside_its_signal(tmp_path):
    import hyperspy.api as hs

    hs.signals.Signal2D(np.arange(12.0).reshape(3, 4)).save(tmp_path / "a.hspy")
    with h5py.File(tmp_path / "a.hspy", "a") as file, h5py.File(tmp_path / "b.h5", "w") as beside:
        (signal,) = file["Experiments"].values()
        beside["numbers"] = signal["data"][()]
        del signal["data"]
        signal["data"] = h5py.ExternalLink("b.h5", "/numbers")
    for lazy in (False, True):
        found = temlib.load_micrograph(tmp_path / "a.hspy", lazy=lazy)
        np.testing.assert_array_equal(np.asarray(found.data), np.arange(12.0).reshape(3, 4))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1", "I;16", "F"])
def test_tif_and_png_of_any_colours_become_grey(tmp_path, mode):
    grey = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (32, 1))
    if mode == "1":
        grey = np.where(grey > 100, 255, 0).astype(np.uint8)
    picture = Image.fromarray(grey.astype(np.uint16 if mode == "I;16" else np.float32 if mode == "F" else np.uint8))
    picture = picture if mode in ("L", "I;16", "F") else picture.convert(mode)
    for suffix in (".tif", ".png") if mode != "F" else (".tif",):
        picture.save(tmp_path / f"a{suffix}")
        loaded = temlib.load_micrograph(tmp_path / f"a{suffix}")
        assert loaded.data.shape == grey.shape
        levels = loaded.data.astype(float)
        assert np.ptp(levels) > 0
        scaled = (levels - levels.min()) / np.ptp(levels)
        np.testing.assert_allclose(scaled, (grey - grey.min()) / np.ptp(grey).astype(float), atol=0.02)
        assert temlib.pixel_size_of(loaded) is None


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd"])
def test_pages_of_a_tif_are_a_stack(tmp_path, compression):
    pages = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
    tifffile.imwrite(tmp_path / "a.tif", pages, compression=compression, photometric="minisblack")
    for lazy in (False, True):
        stack = temlib.load_micrograph(tmp_path / "a.tif", lazy=lazy)
        assert np.array_equal(np.asarray(stack.data), pages)
        assert stack.axes_manager.navigation_shape == (3,)


@pytest.mark.parametrize(
    ("unit", "size"), [("nm", 0.5), ("micron", 500), ("um", 500), (r"\u00B5m", 500), (r"\u00C5", 0.05), ("pixel", None)]
)
def test_imagej_tif_with_and_without_scale(tmp_path, unit, size):
    options = {"imagej": True, "resolution": (2.0, 4.0), "metadata": {"unit": unit, "finterval": 0.25, "axes": "TYX"}}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 8, 9), np.uint8), **options)
    loaded = temlib.load_micrograph(tmp_path / "a.tif")
    assert temlib.pixel_size_of(loaded) == (None if size is None else pytest.approx((size / 2, size)))
    (time,) = loaded.axes_manager.navigation_axes
    assert (time.name, time.scale, time.units) == ("time", 0.25, "s")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((8, 9), np.uint8), imagej=True)
    assert temlib.pixel_size_of(temlib.load_micrograph(tmp_path / "b.tif")) is None


@pytest.mark.parametrize(("unit", "size"), [("nm", 0.25), ("µm", 250.0), (None, None)])
def test_digital_micrograph_tif_with_and_without_scale(tmp_path, unit, size):
    tags = []
    if unit is not None:  # units and scales of x and y
        tags = [(code, "s", 0, unit.encode(), True) for code in (65003, 65004)]
        tags += [(code, "d", 1, 0.25, True) for code in (65009, 65010)]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9), np.int16), extratags=tags)
    loaded = temlib.load_micrograph(tmp_path / "a.tif")
    assert temlib.pixel_size_of(loaded) == (None if size is None else pytest.approx((size, size)))


@pytest.mark.parametrize("scale", [1e-9, 1e9, float("nan"), 0.0])
def test_pixel_sizes_that_no_microscope_has_are_unknown(tmp_path, scale):
    signal = micrograph(np.zeros((4, 6)), 1)
    for axis in signal.axes_manager.signal_axes:
        axis.scale = scale
    assert temlib.pixel_size_of(signal) is None


def test_hdf5_that_leads_out_of_its_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(range(64)))
    inner = tmp_path / "in"
    inner.mkdir()
    with h5py.File(inner / "link.h5", "w") as file:
        file["entry/instrument/detector/data"] = h5py.ExternalLink("../other.h5", "/data")
    with h5py.File(inner / "raw.h5", "w") as file:
        file.create_dataset("data", (8, 8), "u1", external=[(str(tmp_path / "secret"), 0, 64)])
    layout = h5py.VirtualLayout((8, 8), "u1")
    layout[:] = h5py.VirtualSource("../other.h5", "data", (8, 8))
    with h5py.File(inner / "virtual.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    with h5py.File(inner / "master.h5", "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("raw.h5", "/data")
        file["around"] = h5py.ExternalLink("master.h5", "/entry")  # a circle ends
    for name in ("link", "raw", "virtual", "master"):
        assert "outside of its folder" in refusal(inner / f"{name}.h5", reader="NeXus")
    (inner / "raw.dat").write_bytes((inner / "raw.h5").read_bytes())
    assert "outside of its folder" in refusal(inner / "raw.dat", reader="NeXus")
