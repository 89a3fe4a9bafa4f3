"""What a picture's channels, pages, orientation and tags mean, by files whose grey levels and pixel size are known."""

import contextlib
import struct
import warnings
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

import temlib
from temlib.files import memory
from temlib.files.colours import luma, orient
from temlib.files.micrographs import micrograph
from temlib.files.pictures import read_pictures

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (24, 37), np.uint8)
DEEP = RNG.integers(0, 65536, (24, 37), np.uint16)
COLOURS = RNG.integers(0, 256, (24, 37, 3), np.uint8)
MOVIE = RNG.integers(0, 256, (5, 24, 37), np.uint8)
BT709 = np.array([0.2126, 0.7152, 0.0722])


def read(path, size=None, warned=None, **options):
    """Read a micrograph at once and lazily: the same, and of this pixel size; give its array."""
    arrays = []
    for lazy in (False, True):
        expected = pytest.warns(UserWarning, match=warned) if warned else contextlib.nullcontext()
        with expected, warnings.catch_warnings():
            if not warned:
                warnings.simplefilter("error", UserWarning)
            signal = temlib.load_micrograph(path, lazy=lazy, **options)
        assert signal._lazy is lazy
        assert temlib.pixel_size_of(signal) == (None if size is None else pytest.approx(size, rel=1e-6))
        arrays.append(np.asarray(signal.data))
    assert arrays[0].dtype == arrays[1].dtype
    assert np.array_equal(*arrays)
    return arrays[0]


def is_read_as(path, right, **options):
    array = read(path, **options)
    assert array.dtype == right.dtype
    assert np.array_equal(array, right)


def by_luma(colours):
    return np.rint(colours[..., :3] @ BT709).astype(colours.dtype)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif", "webp"])
def test_grey_pictures_are_read_exactly(tmp_path, suffix):
    Image.fromarray(GREY).save(tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    is_read_as(tmp_path / f"a.{suffix}", GREY)


@pytest.mark.parametrize(
    ("mode", "suffixes"),
    [
        ("LA", ("png", "tif")),
        ("RGB", ("png", "tif", "bmp", "webp")),
        ("RGBA", ("png", "tif", "webp")),
        ("P", ("png", "tif", "bmp", "gif")),
        ("CMYK", ("tif",)),
    ],
)
def test_grey_levels_in_every_mode_are_those_levels(tmp_path, mode, suffixes):
    grey = Image.fromarray(GREY)
    picture = grey.convert(mode) if mode in ("LA", "P") else grey.convert("RGB").convert(mode)
    if "A" in mode:
        picture.putalpha(Image.fromarray(MOVIE[0]))
    for suffix in suffixes:
        picture.save(tmp_path / f"a.{suffix}", **({"lossless": True, "exact": True} if suffix == "webp" else {}))
        is_read_as(tmp_path / f"a.{suffix}", GREY)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_coloured_pictures_become_luma(tmp_path, suffix):
    Image.fromarray(COLOURS).save(tmp_path / f"a.{suffix}")
    is_read_as(tmp_path / f"a.{suffix}", by_luma(COLOURS))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
def test_a_palette_is_read_by_its_colours(tmp_path, suffix):
    palette = RNG.integers(0, 256, (256, 3), np.uint8)
    picture = Image.fromarray(GREY, "P")
    picture.putpalette(palette.ravel().tolist())
    picture.save(tmp_path / f"a.{suffix}")
    is_read_as(tmp_path / f"a.{suffix}", by_luma(palette)[GREY])


@pytest.mark.parametrize("compression", [None, "jpeg"])
def test_cmyk_is_read_as_screens_show_it(tmp_path, compression):
    inks = RNG.integers(0, 256, (24, 37, 4), np.uint8)
    if compression:
        inks[:] = inks[0, 0]  # which survives compression
        Image.fromarray(inks, "CMYK").save(tmp_path / "a.jpg", quality=100)
    Image.fromarray(inks, "CMYK").save(tmp_path / "a.tif")
    shown = by_luma(np.asarray(Image.fromarray(inks, "CMYK").convert("RGB")))
    for path in tmp_path.iterdir():
        assert np.abs(read(path).astype(int) - shown).max() <= 1  # of rounding the three colours


def test_ycbcr_that_is_not_compressed_is_read_as_its_colours(tmp_path):
    Image.fromarray(COLOURS).convert("YCbCr").save(tmp_path / "a.tif")
    assert np.abs(read(tmp_path / "a.tif").astype(int) - by_luma(COLOURS)).max() <= 2  # of rounding them twice


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_stay_sixteen(tmp_path, channels):
    import imagecodecs

    colours = RNG.integers(0, 65536, (24, 37, channels), np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(colours))
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb")
    (tmp_path / "grey.png").write_bytes(imagecodecs.png_encode(np.stack([DEEP, DEEP // 2], axis=-1)))
    for suffix in ("png", "tif"):
        is_read_as(tmp_path / f"a.{suffix}", by_luma(colours))
    is_read_as(tmp_path / "grey.png", DEEP)
    Image.fromarray(DEEP).save(tmp_path / "b.png")
    is_read_as(tmp_path / "b.png", DEEP)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "f4", "f8"])
def test_equal_channels_are_that_grey(dtype):
    grey = (RNG.random((16, 16)) * 200).astype(dtype)
    assert np.array_equal(luma(np.stack([grey] * 3, axis=-1)), grey)
    assert luma(np.stack([grey] * 3, axis=-1)).dtype == grey.dtype


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("grey", [GREY, DEEP, DEEP.astype(np.int16)], ids=["uint8", "uint16", "int16"])
def test_where_0_is_white_levels_are_shown_inverted(tmp_path, grey, compression):
    stored = ~grey if grey.dtype.kind == "i" else np.iinfo(grey.dtype).max - grey
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite", compression=compression)
    is_read_as(tmp_path / "a.tif", grey)
    tifffile.imwrite(tmp_path / "b.tif", np.stack([stored] * 3), photometric="miniswhite", compression=compression)
    is_read_as(tmp_path / "b.tif", np.stack([grey] * 3))


@pytest.mark.parametrize("white", [0, 1])
def test_bilevel_pictures_are_0_and_255(tmp_path, white):
    Image.fromarray(GREY > 100).save(tmp_path / "a.tif", tiffinfo={262: white})
    Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    Image.fromarray(GREY > 100).save(tmp_path / "a.bmp")
    for path in tmp_path.iterdir():
        is_read_as(path, np.where(GREY > 100, 255, 0).astype(np.uint8))


SHAPES = [(1, 24, 37), (1, 1, 24, 37), (24, 37, 1), (24, 1, 37), (5, 1, 24, 37), (5, 24, 1, 37), (1, 5, 24, 37, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_axes_of_length_1_are_dropped(tmp_path, shape):
    data = MOVIE.reshape(shape) if 5 in shape else GREY.reshape(shape)
    for options in ({}, {"compression": "lzw"}, {"metadata": None} if shape[-2:] == (24, 37) else {}):
        tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", **options)
        is_read_as(tmp_path / "a.tif", data.squeeze())
    if 5 not in shape:
        tifffile.imwrite(tmp_path / "a.tif", COLOURS.reshape(*shape, 3), photometric="rgb")
        if shape[-2:] == (24, 37):
            is_read_as(tmp_path / "a.tif", by_luma(COLOURS))
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY[None, None])
    is_read_as(tmp_path / "a.ome.tif", GREY)


def in_nm(size):
    """Give OME's words for a pixel size."""
    return {f"PhysicalSize{axis}": size for axis in "XY"} | {f"PhysicalSize{axis}Unit": "nm" for axis in "XY"}


def planes(path, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tifffile.imwrite(path, data, **options)


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_planes_of_colours_are_a_coloured_picture(tmp_path, compression):
    data = np.moveaxis(COLOURS, -1, 0)
    options = {"photometric": "rgb", "planarconfig": "separate", "compression": compression}
    tifffile.imwrite(tmp_path / "a.tif", data, metadata=None, **options)
    is_read_as(tmp_path / "a.tif", by_luma(COLOURS))
    tifffile.imwrite(tmp_path / "b.tif", data, metadata={"axes": "SYX"}, **options)
    is_read_as(tmp_path / "b.tif", by_luma(COLOURS))
    tifffile.imwrite(tmp_path / "c.tif", np.stack([data, data[:, ::-1]]), metadata=None, **options)
    is_read_as(tmp_path / "c.tif", np.stack([by_luma(COLOURS), by_luma(COLOURS)[::-1]]))


def test_three_frames_that_tifffile_writes_are_frames_where_it_says_so(tmp_path):
    planes(tmp_path / "said.tif", MOVIE[:3], metadata={"axes": "TYX"})
    planes(tmp_path / "imagej.tif", MOVIE[:3], imagej=True)
    tifffile.imwrite(tmp_path / "grey.tif", MOVIE[:3], photometric="minisblack")
    for path in tmp_path.iterdir():
        is_read_as(path, MOVIE[:3])


@pytest.mark.parametrize("number", [3, 4])
def test_planes_without_a_word_may_be_both(tmp_path, number):
    planes(tmp_path / "a.tif", MOVIE[:number])  # the same bytes as a planar picture
    colours = by_luma(np.moveaxis(MOVIE[:3], 0, -1))
    is_read_as(tmp_path / "a.tif", colours, warned=f"holds 2 images.*the same as {number} frames")
    is_read_as(tmp_path / "a.tif", MOVIE[:number], signal=1)


def test_samples_that_are_no_colours(tmp_path):
    two = np.stack([GREY, MOVIE[0]], axis=-1)
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "a.tif", two, extrasamples=["unassalpha"], **options)
    tifffile.imwrite(tmp_path / "b.tif", two, **options)  # a second sample of no kind is alpha as well
    is_read_as(tmp_path / "a.tif", GREY)
    is_read_as(tmp_path / "b.tif", GREY)
    tifffile.imwrite(tmp_path / "c.tif", np.moveaxis(MOVIE, 0, -1), **options)
    is_read_as(tmp_path / "c.tif", MOVIE)
    tifffile.imwrite(tmp_path / "d.tif", MOVIE[:2], photometric="minisblack", planarconfig="separate")
    is_read_as(tmp_path / "d.tif", MOVIE[:2])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_by_their_orientation(tmp_path, orientation):
    tag, once = ([(274, "H", 1, orientation, often)] for often in (False, True))
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=tag)
    tifffile.imwrite(tmp_path / "b.tif", MOVIE, extratags=tag, photometric="minisblack", metadata=None)
    tifffile.imwrite(tmp_path / "c.tif", MOVIE, extratags=once, photometric="minisblack", compression="deflate")
    exif = Image.Exif()
    exif[274] = orientation
    for name, options in (("a.png", {}), ("a.webp", {"lossless": True}), ("a.jpg", {"quality": 95})):
        Image.fromarray(GREY).save(tmp_path / name, exif=exif, **options)
    with Image.open(tmp_path / "a.png") as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored))
    for name in ("a.tif", "a.png", "a.webp"):
        is_read_as(tmp_path / name, upright)
    assert read(tmp_path / "a.jpg").shape == upright.shape
    for name in ("b.tif", "c.tif"):
        is_read_as(tmp_path / name, orient(MOVIE, orientation))
    assert np.array_equal(orient(GREY, orientation), upright)


def test_pixels_that_are_not_square_are_turned_with_their_picture(tmp_path):
    options = {"imagej": True, "resolution": (2.0, 4.0), "metadata": {"unit": "nm"}}
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(274, "H", 1, 6, True)], **options)
    is_read_as(tmp_path / "a.tif", np.rot90(GREY, -1), size=(0.5, 0.25))


def test_animations_are_movies(tmp_path):
    pictures = [Image.fromarray(frame) for frame in MOVIE]
    for suffix in ("gif", "webp"):
        options = {"save_all": True, "append_images": pictures[1:], "duration": 250, "loop": 0}
        pictures[0].save(tmp_path / f"a.{suffix}", **options, **({"lossless": True} if suffix == "webp" else {}))
        is_read_as(tmp_path / f"a.{suffix}", MOVIE)
        (time,) = temlib.load_micrograph(tmp_path / f"a.{suffix}").axes_manager.navigation_axes
        assert (time.name, time.scale, time.units) == ("time", 0.25, "s")
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:])
    is_read_as(tmp_path / "a.png", MOVIE[0], warned="is an animation; its first picture is taken")


def test_a_picture_is_read_by_what_it_holds(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP)
    (tmp_path / "a.tif").rename(tmp_path / "a.png")
    is_read_as(tmp_path / "a.png", DEEP)
    Image.fromarray(GREY).save(tmp_path / "b.png")
    (tmp_path / "b.png").rename(tmp_path / "b.tif")
    is_read_as(tmp_path / "b.tif", GREY)


# Pages of a tif


@pytest.mark.parametrize("first", [True, False])
def test_previews_and_masks_are_left_out(tmp_path, first):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        extra = [({"data": GREY[::4, ::4], "subfiletype": 1}), ({"data": GREY > 9, "subfiletype": 4, "photometric": 4})]
        for page in [*extra, {"data": DEEP}] if first else [{"data": DEEP}, *extra]:
            file.write(**page, metadata=None, **({} if "photometric" in page else {"photometric": "minisblack"}))
    is_read_as(tmp_path / "a.tif", DEEP)


def test_of_a_pyramid_the_full_resolution_is_read(tmp_path):
    for name, metadata in (
        ("a.ome.tif", {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "nm"}),
        ("b.tif", {}),
    ):
        sizes = {"PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "nm"} if metadata else {}
        with tifffile.TiffWriter(tmp_path / name) as file:
            file.write(DEEP, subifds=2, tile=(16, 16), metadata=metadata | sizes)
            for step in (2, 4):
                file.write(DEEP[::step, ::step], subfiletype=1, tile=(16, 16))
        is_read_as(tmp_path / name, DEEP, size=(0.5, 0.5) if metadata else None)


def test_pages_of_different_size_are_several_images(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in (GREY[:9, :9], DEEP, GREY[:8]):
            file.write(page, photometric="minisblack", metadata=None)
    is_read_as(tmp_path / "a.tif", DEEP, warned="holds 3 images; took 'a, image 1'")
    is_read_as(tmp_path / "a.tif", GREY[:8], signal="a, image 2")


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "options", [{}, {"metadata": None}, {"compression": "zstd", "predictor": True}, {"tile": (16, 16)}]
)
def test_a_stack_is_read_page_by_page(tmp_path, monkeypatch, byteorder, options):
    stack = RNG.integers(0, 65536, (40, 24, 37), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", byteorder=byteorder, **options)
    is_read_as(tmp_path / "a.tif", stack)
    monkeypatch.setattr("temlib.files.tiff.micrographs.frame_chunks", lambda shape, *_: (2, *shape[1:]))
    lazy = temlib.load_micrograph(tmp_path / "a.tif", lazy=True).data
    assert lazy.chunks[0] == (2,) * 20
    assert np.array_equal(lazy[17].compute(), stack[17])
    assert np.array_equal(lazy[5:31:7, 3:9, ::2].compute(), stack[5:31:7, 3:9, ::2])


def test_axes_besides_frames_are_refused_in_one_line(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5, 24, 37), np.uint8), photometric="minisblack")
    with pytest.raises(temlib.MicrographError, match="more than one axis besides y and x"):
        temlib.load_micrograph(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((24, 5, 37, 3), np.uint8), metadata={"axes": "YTXS"})
    with pytest.raises(temlib.MicrographError, match=r"^b\.tif: its axes are YTXS.*; save it with y and x"):
        temlib.load_micrograph(tmp_path / "b.tif")


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize(
    ("axes", "order"), [("YXT", (2, 0, 1)), ("XYT", (2, 1, 0)), ("YTX", (1, 0, 2)), ("XY", (1, 0))]
)
def test_axes_in_another_order_are_put_in_order(tmp_path, axes, order, compression):
    data = MOVIE if len(axes) == 3 else GREY
    stored = data.transpose(np.argsort(order))
    options = {"compression": compression, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", stored, metadata={"axes": axes}, **options)
    is_read_as(tmp_path / "a.tif", data)


def test_coloured_movies_are_grey_movies(tmp_path):
    movie = RNG.integers(0, 256, (5, 24, 37, 3), np.uint8)
    for number, options in enumerate(({}, {"metadata": None}, {"imagej": True}, {"metadata": {"axes": "TYXS"}})):
        tifffile.imwrite(tmp_path / f"{number}.tif", movie, photometric="rgb", **options)
        is_read_as(tmp_path / f"{number}.tif", by_luma(movie))


def test_ome_in_several_files_is_read_file_by_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", MOVIE[:2], photometric="minisblack", metadata={"axes": "TYX"} | in_nm(0.5))
    text = tifffile.tiffcomment(tmp_path / "a.ome.tif").replace('SizeT="2"', 'SizeT="3"')
    other = '<TiffData FirstT="2" IFD="0" PlaneCount="1"><UUID FileName="../b.ome.tif">urn:uuid:1</UUID></TiffData>'
    tifffile.tiffcomment(tmp_path / "a.ome.tif", text.replace("</Pixels>", f"{other}</Pixels>").encode())
    is_read_as(tmp_path / "a.ome.tif", MOVIE[:2], size=(0.5, 0.5))


# Pixel sizes


def zeiss(named, listed):
    return b"\r\n".join([b"0", b"0", b"0", str(listed).encode(), b"0", *named]) + b"\r\n"


ZEISS = [
    ([b"AP_IMAGE_PIXEL_SIZE", b"Image Pixel Size = 248.8 pm"], 0, 0.2488),
    ([b"AP_IMAGE_PIXEL_SIZE", b"Image Pixel Size = 2.488 nm"], 0, 2.488),
    ([b"AP_IMAGE_PIXEL_SIZE", b"Image Pixel Size = 1.5 \xb5m"], 0, 1500),
    ([b"AP_IMAGE_PIXEL_SIZE", b"Image Pixel Size = 2.488 nm"], 2.4881e-9 * 37 / 1024, 2.4881),  # more digits
    ([b"AP_PIXEL_SIZE", b"Pixel Size = 12.3 nm"], 0, 12.3),
    ([b"AP_MAG", b"Mag = 10 K X"], 3e-9 * 37 / 1024, 3),
    ([b"AP_MAG", b"Mag = 10 K X"], 0, None),
]


@pytest.mark.parametrize(("named", "listed", "size"), ZEISS)
def test_zeiss(tmp_path, named, listed, size):
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(34118, "s", 0, zeiss(named, listed), True)])
    is_read_as(tmp_path / "a.tif", GREY, size=size and (size, size))


SCAN = b"[User]\r\nUser=me\r\n[Scan]\r\nPixelWidth=2.5e-009\r\nPixelHeight=5e-009\r\n"
BEAM = b"[IRBeam]\nHFW=3.7e-006\nVFW=1.2e-006\n[Image]\nResolutionX=37\nResolutionY=24\n"
METADATA = (
    "<Metadata xmlns='urn:x'><BinaryResult><PixelSize><X unit='m' unitPrefixPower='1'>2.5e-9</X>"
    "<Y unit='m' unitPrefixPower='1'>5e-9</Y></PixelSize></BinaryResult></Metadata>"
)


@pytest.mark.parametrize(
    ("code", "text", "size"),
    [
        (34680, SCAN, (5, 2.5)),
        (34682, SCAN, (5, 2.5)),
        (34682, BEAM, (50, 100)),
        (34682, b"[Scan]\nPixelWidth=0\nPixelHeight=0\n", None),
        (34683, METADATA.encode(), (5, 2.5)),
        (34682, b"<Root><PixelsSize><X unit='nm'>2.5</X><Y unit='nm'>5</Y></PixelsSize></Root>", (5, 2.5)),
        (270, METADATA.encode(), (5, 2.5)),
    ],
)
def test_fei(tmp_path, code, text, size):
    tags = [(code, "s", 0, text, True)]
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=tags, metadata=None)
    is_read_as(tmp_path / "a.tif", GREY, size=size)


JEOL = (
    "<TemReporter><Eos><EosMode>eosTEM</EosMode></Eos>"
    "<IlluminationSystem><ImageField>areaBF</ImageField></IlluminationSystem>"
    "<ImageFormingSystem><ImageFormingMode>modeMAG</ImageFormingMode><SelectorString>x100k</SelectorString>"
    "<ModeString>MAG</ModeString><SelectorValue>100000</SelectorValue></ImageFormingSystem></TemReporter>"
)


def test_jeol(tmp_path):
    options = {"resolution": (1000, 2000), "resolutionunit": 2, "description": JEOL, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(271, "s", 0, "JEOL Ltd.", True)], **options)
    is_read_as(tmp_path / "a.tif", GREY, size=(0.127, 0.254))  # of an inch, 100000 times enlarged


def test_gatan_in_latin_1(tmp_path):
    tags = [(code, "B", 2, "µm".encode("latin-1"), True) for code in (65003, 65004)]
    tags += [(code, "d", 1, 0.25, True) for code in (65009, 65010)]
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=tags)
    is_read_as(tmp_path / "a.tif", GREY, size=(250, 250))


OME = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}


@pytest.mark.parametrize(
    ("unit", "size"),
    [("nm", (0.25, 0.5)), ("µm", (250, 500)), (None, (250, 500)), ("pm", (2.5e-4, 5e-4)), ("Å", (0.025, 0.05))],
)
@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif"])  # OME-XML, and tifffile's own JSON
def test_ome(tmp_path, name, unit, size):
    units = {} if unit is None else {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(tmp_path / name, GREY, metadata=OME | units)
    is_read_as(tmp_path / name, GREY, size=size)


def test_ome_of_several_images_has_a_pixel_size_for_each(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        for number, image in enumerate((GREY, DEEP[:9])):
            sizes = {f"PhysicalSize{axis}": number + 1 for axis in "XY"} | {
                f"PhysicalSize{axis}Unit": "nm" for axis in "XY"
            }
            file.write(image, metadata={"axes": "YX", "Name": f"image of {number}"} | sizes)
    is_read_as(tmp_path / "a.ome.tif", GREY, size=(1, 1), signal="image of 0")
    is_read_as(tmp_path / "a.ome.tif", DEEP[:9], size=(2, 2), signal=1)


def test_ome_movies_have_their_interval(tmp_path):
    metadata = {"axes": "TYX", "TimeIncrement": 40, "TimeIncrementUnit": "ms"}
    tifffile.imwrite(tmp_path / "a.ome.tif", MOVIE, photometric="minisblack", metadata=metadata)
    is_read_as(tmp_path / "a.ome.tif", MOVIE)
    (time,) = temlib.load_micrograph(tmp_path / "a.ome.tif").axes_manager.navigation_axes
    assert (time.name, time.scale, time.units) == ("time", 40, "ms")


def sis(x, y, power):
    """Give Olympus's structure: its head, a list of one part, and the part with the size of a pixel."""

    offset = 5000
    head = struct.pack("<4s6xhhhhh6x32sH", b"SIS0", 0, 0, 1, 1, 100, b"name", 1)
    return (
        head + struct.pack("<hhI", 1, 1, offset),
        offset,
        struct.pack("<10xhdd8xd2x34s32s", power, x, y, 1e5, b"c", b"p"),
    )


@pytest.mark.parametrize("preview", ["small", "large", None])
def test_olympus_sis_takes_the_calibrated_page(tmp_path, preview):
    head, offset, part = sis(0.5, 0.25, -9)
    image = np.tile(DEEP, (3, 3))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        if preview:
            file.write(COLOURS[::3, ::3] if preview == "small" else np.tile(COLOURS, (4, 4, 1)), photometric="rgb")
        file.write(image, extratags=[(33560, "B", len(head), head, True)])
    content = bytearray((tmp_path / "a.tif").read_bytes())
    new = len(content).to_bytes(4, "little")
    (tmp_path / "a.tif").write_bytes(content.replace(offset.to_bytes(4, "little"), new, 1) + part)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[-1].tags[33560].value["pixelsizex"] == pytest.approx(5e-10)
    is_read_as(tmp_path / "a.tif", image, size=(0.25, 0.5))


@pytest.mark.parametrize(("size", "unit"), [(0.25, "nm"), (41.7, "nm"), (43.0, "nm"), (777.7, "nm"), (9e3, "nm")])
def test_what_is_saved_as_tif_is_read_again(tmp_path, size, unit):
    for data in (GREY, DEEP, DEEP.astype(np.float32)):
        temlib.save_micrograph(micrograph(data, (size, size / 2)), tmp_path / "a.tif", overwrite=True)
        is_read_as(tmp_path / "a.tif", data, size=(size, size / 2))
    time = {"name": "time", "scale": 0.5, "offset": 2.0, "units": "s"}
    temlib.save_micrograph(micrograph(MOVIE, size, navigation=[time]), tmp_path / "b.tif")
    is_read_as(tmp_path / "b.tif", MOVIE, size=(size, size))
    (axis,) = temlib.load_micrograph(tmp_path / "b.tif").axes_manager.navigation_axes
    assert (axis.name, axis.scale, axis.offset, axis.units) == ("time", 0.5, 2.0, "s")


@pytest.mark.parametrize("unit", ["inch", "cm", "in", "pixel", "pixels", ""])
@pytest.mark.parametrize("resolution", [72.0, 300.0, 1889.76, 4800.0])
def test_resolutions_of_prints_and_scans_are_no_calibration(tmp_path, unit, resolution):
    options = {"resolution": (resolution, resolution), "resolutionunit": 3 if unit == "cm" else 2}
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, metadata={"unit": unit}, **options)
    is_read_as(tmp_path / "a.tif", GREY)
    tifffile.imwrite(tmp_path / "b.tif", GREY, **options)
    is_read_as(tmp_path / "b.tif", GREY)
    for suffix in ("png", "bmp", "tif"):
        Image.fromarray(GREY).save(tmp_path / f"c.{suffix}", dpi=(resolution, resolution))
        is_read_as(tmp_path / f"c.{suffix}", GREY)
    Image.fromarray(GREY).save(tmp_path / "c.jpg", dpi=(resolution, resolution))
    read(tmp_path / "c.jpg")


@pytest.mark.parametrize("resolution", [1e5, 1e7])
def test_resolution_tags_without_a_word_are_none_whatever_the_number(tmp_path, resolution):
    tifffile.imwrite(tmp_path / "a.tif", GREY, resolution=(resolution, resolution), resolutionunit=3)
    is_read_as(tmp_path / "a.tif", GREY)


@pytest.mark.parametrize(
    ("metadata", "named"),
    [({"unit": "furlong"}, "'0.5 furlong'"), ({"unit": "kV"}, "'0.5 kV'"), ({"unit": r"\u2603"}, "'0.5 ☃'")],
)
def test_a_unit_that_is_not_understood_is_named(tmp_path, metadata, named):
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, resolution=(2, 2), metadata=metadata)
    is_read_as(tmp_path / "a.tif", GREY, warned=rf"^a\.tif: its pixel size of {named} is not understood")


def test_words_that_contradict_one_another_are_named(tmp_path):
    tags = [(code, "s", 0, b"nm", True) for code in (65003, 65004)]
    tags += [(code, "d", 1, 3.0, True) for code in (65009, 65010)]
    options = {"imagej": True, "resolution": (2, 2), "metadata": {"unit": "nm"}}
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=tags, **options)
    said = r"^a\.tif: its pixel size, which differs \(DigitalMicrograph: 3 nm, ImageJ: 0.5 nm\) is not understood"
    is_read_as(tmp_path / "a.tif", GREY, warned=said)
    with pytest.warns(UserWarning, match="differs"):
        assert temlib.pixel_size_of(temlib.load_micrograph(tmp_path / "a.tif", 0.5)) == (0.5, 0.5)


@pytest.mark.parametrize(
    "text",
    [
        b"<Root><PixelSize><X>2.5e-9</X><Y>5e-9</Y></PixelSize></Root>",  # no unit
        b"<Root><PixelSize><X unit='m'>2.5e-9</X><Y unit='m'>wide</Y></PixelSize></Root>",
        b"<Root><PixelSize><X unit='m' unitPrefixPower='-9'>2.5</X><Y unit='m'>5e-9</Y></PixelSize></Root>",
        b"<Root><PixelSize>",
    ],
)
def test_xml_that_is_not_understood_is_named(tmp_path, text):
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(34683, "s", 0, text, True)])
    is_read_as(tmp_path / "a.tif", GREY, warned=r"^a\.tif: what FEI's XML wrote on its pixel size is not understood")


@pytest.mark.parametrize("unit", ["1/nm", "nm^-1", "mrad"])
def test_diffraction_patterns_are_no_micrographs(tmp_path, unit):
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, resolution=(2, 2), metadata={"unit": unit})
    with pytest.raises(temlib.MicrographError, match="a diffraction pattern"):
        temlib.load_micrograph(tmp_path / "a.tif")


# Bad files


@pytest.mark.parametrize("options", [{}, {"metadata": None}, {"imagej": True}, {"ome": True}, {"compression": "lzw"}])
def test_a_movie_that_is_cut_off_loses_no_frame_in_silence(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", MOVIE[:, :9, :8], photometric="minisblack", **options)
    content = (tmp_path / "a.tif").read_bytes()
    for length in range(8, len(content), 23):
        (tmp_path / "a.tif").write_bytes(content[:length])
        with contextlib.suppress(temlib.MicrographError):
            assert np.array_equal(temlib.load_micrograph(tmp_path / "a.tif").data, MOVIE[:, :9, :8])


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif", "webp", "jpg"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_what_is_cut_off_is_refused_in_one_line(tmp_path, suffix, share):
    Image.fromarray(GREY).save(tmp_path / f"a.{suffix}")
    content = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(content[: int(share * len(content))])
    for lazy in (False, True):
        with pytest.raises(temlib.MicrographError, match=rf"^a\.{suffix}: [^\n]*$"):
            np.asarray(temlib.load_micrograph(tmp_path / f"a.{suffix}", lazy=lazy).data)


def saved(picture, kind, **options):
    file = BytesIO()
    picture.save(file, kind, **options)
    return kind.lower(), file.getvalue()


def written(data, **options):
    file = BytesIO()
    tifffile.imwrite(file, data, **options)
    return "tif", file.getvalue()


def of_every_kind():
    """Give small intact pictures: suffix and content."""
    import imagecodecs

    grey, coloured = Image.fromarray(GREY), Image.fromarray(COLOURS)
    tag = {"extratags": [(34682, "s", 0, SCAN, True), (34683, "s", 0, METADATA.encode(), True)]}
    frames = {"photometric": "minisblack"}
    yield from (saved(grey, kind) for kind in ("PNG", "JPEG", "BMP"))
    yield from (saved(coloured, kind) for kind in ("PNG", "WEBP", "BMP"))
    yield from (saved(grey, kind, save_all=True, append_images=[coloured]) for kind in ("GIF", "WEBP"))
    yield saved(grey.convert("1"), "TIFF", compression="group4")
    yield saved(coloured.convert("YCbCr"), "TIFF")
    yield saved(coloured.convert("CMYK"), "TIFF", compression="jpeg")
    yield "png", imagecodecs.png_encode(np.stack([DEEP] * 3, axis=-1))
    yield from (written(DEEP, compression=way) for way in (None, "lzw", "zstd"))
    yield written(DEEP, compression="deflate", predictor=True, tile=(16, 16))
    yield written(COLOURS, photometric="rgb", compression="jpeg", rowsperstrip=8)
    yield written(np.moveaxis(COLOURS, -1, 0), photometric="rgb", planarconfig="separate")
    yield written(GREY, photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    yield written(GREY, photometric="miniswhite", compression="packbits")
    yield written(GREY, **tag)
    yield written(MOVIE, **frames)
    yield written(MOVIE, **frames, metadata=None, compression="deflate")
    yield written(MOVIE, **frames, ome=True, metadata=OME | {"axes": "TYX"})
    yield written(MOVIE, **frames, imagej=True, resolution=(2, 2), metadata={"unit": "nm", "axes": "TYX"})


def damaged(content, rng):
    content = bytearray(content)
    place = int(rng.choice([rng.integers(len(content)), rng.integers(min(400, len(content)))]))
    place = int(rng.choice([place, len(content) - 1 - place]))
    part = int(rng.integers(1, 64))
    way = rng.integers(4)
    if way == 0:
        del content[place:]
    elif way == 1:
        content[place] ^= 1 << int(rng.integers(8))
    elif way == 2:
        content[place : place + part] = rng.bytes(part)
    else:
        content[place : place + 4] = b"\xff\xff\xff\x7f"
    return bytes(content)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", [300, pytest.param(4000, marks=pytest.mark.slow)])
def test_damaged_pictures_are_refused_in_one_line(tmp_path, number):
    rng, kinds, messages = np.random.default_rng(number), list(of_every_kind()), []
    for case in range(number):
        suffix, content = kinds[case % len(kinds)]
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(damaged(content, rng))
        try:
            assert np.asarray(temlib.load_micrograph(path, lazy=case % 3 == 0).data).ndim in (2, 3)
        except temlib.MicrographError as error:
            messages.append(str(error))
    assert [text for text in messages if "\n" in text or not text.startswith("a.")] == []
    assert len(messages) > number / 4


def test_more_than_there_is_memory_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", MOVIE, compression="deflate", photometric="minisblack")
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setattr(memory, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(temlib.MicrographError, match=r"^a\.tif: takes .* GB of memory unpacked.*; pass lazy=True"):
        temlib.load_micrograph(tmp_path / "a.tif")
    with pytest.raises(temlib.MicrographError, match=r"^a\.png: takes .* GB of memory unpacked.*with lazy=True"):
        temlib.load_micrograph(tmp_path / "a.png")
    lazy = temlib.load_micrograph(tmp_path / "a.tif", lazy=True)
    monkeypatch.undo()
    assert np.array_equal(lazy.data.compute(), MOVIE)


def test_large_pictures_are_no_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(GREY).save(tmp_path / "a.png")
    is_read_as(tmp_path / "a.png", GREY)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_dictionaries_are_as_rosettasciio_gives_them(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", MOVIE, photometric="minisblack")
    (read_,) = read_pictures(tmp_path / "a.tif")
    assert [axis["name"] for axis in read_["axes"]] == ["frame", "y", "x"]
    assert [axis["index_in_array"] for axis in read_["axes"]] == [0, 1, 2]
    assert [axis["navigate"] for axis in read_["axes"]] == [True, False, False]
    assert [axis["size"] for axis in read_["axes"]] == list(read_["data"].shape)


def test_pages_in_a_circle_are_refused(tmp_path):
    frames = np.stack([GREY, GREY])
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack", metadata=None)
    whole = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        first, last = file.pages[0].offset, file.pages[1].offset
    (entries,) = struct.unpack_from("<H", whole, last)
    struct.pack_into("<I", whole, last + 2 + 12 * entries, first)
    (tmp_path / "a.tif").write_bytes(whole)
    for lazy in (False, True):
        with pytest.raises(temlib.MicrographError, match=r"^a\.tif: has a page that is followed by one before it"):
            temlib.load_micrograph(tmp_path / "a.tif", lazy=lazy)
