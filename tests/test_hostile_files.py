"""Files whose authors mean harm: no code of theirs runs, nothing outside is read, one line says why."""

import h5py
import numpy as np
import pytest

import temlib
from temlib.files.micrographs import micrograph


def evil(marker):
    return f"__import__('os').system('touch {marker}')*0+x"


def hspy(path, change, data=None):
    """Write a signal as HyperSpy does, and let ``change`` do to its group what it likes."""
    micrograph(np.zeros((16, 24), np.uint8) if data is None else data, 0.5).save(path)
    with h5py.File(path, "a") as file:
        change(next(iter(file["Experiments"].values())))
    return path


def functional(marker):
    def change(group):
        axis = group["axis-0"]
        del axis.attrs["scale"], axis.attrs["offset"]
        axis.attrs.update({"_type": "FunctionalDataAxis", "expression": evil(marker)})
        x = {"_type": "UniformDataAxis", "size": 16, "scale": 1.0, "offset": 0.0, "navigate": False}
        axis.create_group("x").attrs.update(x)

    return change


@pytest.mark.parametrize("suffix", [".hspy", ".h5", ".hdf5"])
@pytest.mark.parametrize("lazy", [False, True])
def test_an_expression_in_an_axis_is_never_evaluated(tmp_path, suffix, lazy):
    path = hspy(tmp_path / "a.hspy", functional(tmp_path / "ran")).rename(tmp_path / f"a{suffix}")
    with pytest.warns(UserWarning, match=rf"a\{suffix}: its pixel size is unknown: its axis 'y' is a function"):
        image = temlib.load_micrograph(path, lazy=lazy)
    assert image.data.shape == (16, 24)
    assert temlib.pixel_size_of(image) is None
    assert not (tmp_path / "ran").exists()
