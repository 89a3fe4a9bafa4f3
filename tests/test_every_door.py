"""Every kind of file that temlib names, through every door: at once, lazily, by the command, in the painter."""

import warnings

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

import temlib
from temlib import cli
from temlib.files.micrographs import micrograph
from temlib.files.reading import READABLE
from tests.conftest import disc
from tests.test_batch import Threshold
from tests.test_mrc import write as write_mrc

SHAPE, CENTRES = (96, 128), [(30, 30), (60, 90)]
FROM_MICROSCOPES = {
    "dm3": "openncem/dmTest_float32_nonSquare_diffPixelSize.dm3",
    "dm4": "particlespy/JEOL HAADF Image.dm4",
    "emi": "openncem/16_STOimage.emi",
    "ser": "openncem/16_STOimage_1.ser",
}
CALIBRATED = ("nxs", "hspy", "zspy", "h5", "hdf5", "emd", "mrc", "mrcs", "map", "st")


class Dark(Threshold):
    def maps(self, image, scale="auto"):
        dark = np.asarray(image.data) < 120
        return np.stack([dark, dark], axis=-1).astype(np.float32)


def grey():
    image = np.full(SHAPE, 200, np.uint8)
    for centre in CENTRES:
        image[disc(SHAPE, centre, 12)] = 40
    return image


def written(folder, suffix):
    """Write two dark discs, with pixels of 0.5 nm where a format keeps them."""
    folder.mkdir()
    path, signal = folder / f"a.{suffix}", micrograph(grey(), 0.5)
    if suffix in ("png", "jpg", "jpeg", "bmp", "gif", "webp"):
        Image.fromarray(grey()).save(path)
    elif suffix in ("tif", "tiff"):
        tifffile.imwrite(path, grey())
    elif suffix in ("mrc", "mrcs", "map", "st"):
        write_mrc(path, grey().astype("i2"), 1)
    elif suffix in ("h5", "hdf5"):
        signal.save(folder / "a.hspy")
        (folder / "a.hspy").rename(path)
    else:
        signal.save(path)
    return path


def test_every_kind_has_a_writer_here():
    assert set(FROM_MICROSCOPES) < set(READABLE)
    assert set(CALIBRATED) < set(READABLE)


@pytest.mark.filterwarnings("ignore:The NestedDirectoryStore is deprecated:FutureWarning")
@pytest.mark.parametrize("suffix", [suffix for suffix in READABLE if suffix not in FROM_MICROSCOPES])
def test_every_suffix_through_every_door(tmp_path, monkeypatch, capsys, suffix):
    monkeypatch.setattr("temlib.network.segmenter.load_segmenter", lambda model, runtime: Dark())
    path = written(tmp_path / "in", suffix)
    size = (0.5, 0.5) if suffix in CALIBRATED else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)
        for lazy in (False, True):
            image = temlib.load_micrograph(path, lazy=lazy)
            assert image._lazy is lazy
            np.testing.assert_allclose(
                np.asarray(image.data), grey(), atol=80 if suffix in ("jpg", "jpeg", "webp") else 0
            )
            assert temlib.pixel_size_of(image) == (size and pytest.approx(size))
    capsys.readouterr()
    assert cli.main(["segment", str(path.parent), "--out", str(tmp_path / "out")]) == 0
    assert "1 segmented, 0 done before, 0 failed" in capsys.readouterr().out
    assert list(pd.read_csv(tmp_path / "out" / "micrographs.csv")["particles"]) == [2]
    assert list(temlib.LabelPainter(path.parent, tmp_path / "labels")._names) == ["a"]


@pytest.mark.parametrize("suffix", FROM_MICROSCOPES)
def test_files_of_microscopes_through_every_door(formats, tmp_path, monkeypatch, capsys, suffix):
    monkeypatch.setattr("temlib.network.segmenter.load_segmenter", lambda model, runtime: Dark())
    source = formats / FROM_MICROSCOPES[suffix]
    now, later = (temlib.load_micrograph(source, lazy=lazy) for lazy in (False, True))
    assert np.array_equal(now.data, np.asarray(later.data))
    assert cli.main(["segment", str(source), "--out", str(tmp_path / "out")]) == 0
    assert "1 segmented, 0 done before, 0 failed" in capsys.readouterr().out
    assert temlib.LabelPainter(source, tmp_path / "labels")._state["count"] == 1
