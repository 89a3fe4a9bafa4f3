"""Every kind of file that is read, through every door: eagerly, lazily, by the command, in the painter."""

import shutil
import struct
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import temlib
from temlib.files.micrographs import micrograph
from temlib.files.reading import READABLE
from tests.conftest import disc
from tests.test_folders import SHAPE, TWO, contents, picture, quick, segment  # noqa: F401

GREY = picture()
FROM_MICROSCOPES = {"dm3": "dmTest_float32_nonSquare_diffPixelSize.dm3", "dm4": "JEOL HAADF Image.dm4"}


def write_picture(path):
    Image.fromarray(GREY).save(path)


def write_signal(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        micrograph(GREY, 0.5, "a micrograph").save(path)


def write_hdf5(path):
    write_signal(path.with_suffix(".hspy"))
    path.with_suffix(".hspy").rename(path)


def write_mrc(path):
    header = np.zeros(256, "<i4")
    header[:4] = SHAPE[1], SHAPE[0], 1, 6
    header[7:10] = SHAPE[1], SHAPE[0], 1
    header.view("<f4")[10:16] = 5 * SHAPE[1], 5 * SHAPE[0], 5, 90, 90, 90
    header[16:19] = 1, 2, 3
    data = bytearray(header.tobytes())
    data[208:216] = b"MAP DA\0\0"
    path.write_bytes(bytes(data) + GREY[::-1].astype("<u2").tobytes())


def write_ser(path):
    """A series of FEI's with one element, calibrated grey levels."""
    dimension = struct.pack("<IddIIBIB", 1, 0, 1, 0, 1, 78, 1, 32)
    start = 30 + len(dimension) + 8
    element = struct.pack("<ddI", 0, 5e-10, 0) * 2 + struct.pack("<HII", 1, SHAPE[1], SHAPE[0]) + GREY[::-1].tobytes()
    head = struct.pack("<HHHIIIIII", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 1, 1, start - 8, 1)
    offsets = struct.pack("<II", start, start + len(element))
    path.write_bytes(head + dimension + offsets + element + struct.pack("<HHI", 0x4152, 0, 0))


def write_emi(path):
    write_ser(path.with_name(f"{path.stem}_1.ser"))
    path.write_bytes(b"JL<ObjectInfo><AcquireDate>Thu Nov 26 12:00:00 2026</AcquireDate></ObjectInfo>")


WRITERS = {
    **dict.fromkeys(("png", "jpg", "jpeg", "bmp", "gif", "webp", "tif", "tiff"), write_picture),
    **dict.fromkeys(("hspy", "zspy", "emd", "nxs"), write_signal),
    **dict.fromkeys(("h5", "hdf5"), write_hdf5),
    **dict.fromkeys(("mrc", "mrcs", "map", "st"), write_mrc),
    "ser": write_ser,
    "emi": write_emi,
}


def test_each_kind_is_here():
    assert {*WRITERS, *FROM_MICROSCOPES} == set(READABLE)


@pytest.fixture
def folder(tmp_path):
    """A file of each kind that can be written here, each named after its kind."""
    for kind, write in WRITERS.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        write(tmp_path / "in" / f"{kind}.{kind}")
    return tmp_path / "in"


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("lazy", [False, True])
def test_each_kind_is_loaded(kind, lazy, tmp_path):
    WRITERS[kind](tmp_path / f"a.{kind}")
    image = temlib.load_micrograph(tmp_path / f"a.{kind}", lazy=lazy)
    data = np.asarray(image.data)
    assert data.shape == SHAPE
    dark = data < 120
    assert dark[disc(SHAPE, TWO[0], 7)].all()
    assert not dark[:, :15].any()
    if WRITERS[kind] is not write_picture:
        assert temlib.pixel_size_of(image) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("kind", WRITERS)
def test_names_mean_themselves_in_each_kind(kind, tmp_path):
    (tmp_path / "f [1]*").mkdir()
    WRITERS[kind](tmp_path / "f [1]*" / f"a [2]?{{}}.{kind}")
    assert temlib.load_micrograph(tmp_path / "f [1]*" / f"a [2]?{{}}.{kind}").data.shape == SHAPE


def test_each_kind_is_segmented_by_the_command(folder, tmp_path, capsys):
    assert segment(folder, "--out", tmp_path / "out") == 0
    assert f"{len(WRITERS)} segmented, 0 done before, 0 failed" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out" / "micrographs.csv").set_index("micrograph")
    assert sorted(table.index) == sorted(WRITERS)
    assert (table["particles"] == 2).all()
    before = contents(tmp_path / "out")
    assert segment(folder, "--out", tmp_path / "out") == 0
    assert f"0 segmented, {len(WRITERS)} done before, 0 failed" in capsys.readouterr().out
    assert contents(tmp_path / "out") == before


def test_each_kind_is_painted_on(folder, tmp_path):
    painter = temlib.LabelPainter(folder, tmp_path / "labels")
    assert sorted(painter._names) == sorted(WRITERS)
    for number in range(len(WRITERS)):
        painter.show(number)
        painter.paint("particle", [[30, 30]])
    assert len(list((tmp_path / "labels").glob("*_strokes.json"))) == len(WRITERS)


@pytest.mark.parametrize("kind", FROM_MICROSCOPES)
def test_files_of_microscopes_that_nothing_here_writes(kind, formats, tmp_path, capsys):
    (file,) = formats.rglob(FROM_MICROSCOPES[kind])
    (tmp_path / "in").mkdir()
    shutil.copy(file, tmp_path / "in")
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0
    assert "1 segmented, 0 done before, 0 failed" in capsys.readouterr().out
    assert temlib.LabelPainter(tmp_path / "in", tmp_path / "labels").painting.name == file.stem
