"""The folder that stands in for a microscopist's own."""

import hyperspy.api as hs
import numpy as np
import pytest

import temlib
from temlib import synthetic
from temlib.files.scale_bars.scale_labels import can_read
from temlib.jobs.inputs import files_in
from temlib.reproduction import stand_in


@pytest.fixture(scope="module")
def made():
    return list(synthetic.sample("workshop", 3, 5, workers=1))


def test_a_folder_holds_tif_with_a_pixel_size_and_one_png_with_a_scale_bar(made, tmp_path):
    files = stand_in.write_folder(made, tmp_path / "mine")
    assert files_in([tmp_path / "mine"]) == files == stand_in.write_folder(made, tmp_path / "mine")
    assert [path.stem for path in files] == [m.name for m in made]
    assert sorted(path.suffix for path in files) == [".png", ".tif", ".tif"]
    plain = stand_in.write_folder(made, tmp_path / "plain", png=False)
    assert [path.name for path in plain] == [f"{m.name}.tif" for m in made]
    for path, micrograph in zip(files, made, strict=True):
        image = temlib.load_micrograph(path)
        if path.suffix == ".tif":
            np.testing.assert_array_equal(image.data, micrograph.counts)
            assert temlib.pixel_size_of(image) == pytest.approx(temlib.pixel_size_of(micrograph.image))
        else:
            assert temlib.pixel_size_of(image) is None
            assert image.data.dtype == np.uint8


@pytest.mark.skipif(not can_read(), reason="needs RapidOCR: pip install 'temlib[scalebar]'")
def test_the_scale_bar_that_is_burnt_in_can_be_read(made, tmp_path):
    (png,) = [path for path in stand_in.write_folder(made, tmp_path) if path.suffix == ".png"]
    size = temlib.pixel_size_of(made[0].image)
    assert temlib.pixel_size_of(temlib.load_micrograph(png, scale_bar=True)) == pytest.approx(size, rel=0.01)


def test_a_micrograph_without_a_pixel_size_becomes_a_png_as_it_is(tmp_path):
    class Published:
        name = "published"
        image = hs.signals.Signal2D(np.arange(4096).reshape(64, 64).astype(np.uint8))

    (path,) = stand_in.write_folder([Published], tmp_path)
    np.testing.assert_array_equal(temlib.load_micrograph(path).data, Published.image.data)
    with pytest.raises(ValueError, match="pixel size"):
        stand_in.burn_in_scale_bar(Published.image)
