"""Damaged files: each loads correctly, or is refused in one line, in ten seconds and 2 GB; nothing crashes or hangs."""

import collections
import signal
import sys

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

import temlib
from temlib.files.hdf5.inspection import check_hdf5
from temlib.files.micrographs import micrograph
from tests import damage
from tests.test_nexus import write_lambda

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits, which Windows does not have")
SHAPE = (104, 92)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One small file of each format that can be written here."""
    folder = tmp_path_factory.mktemp("made")
    grey = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    for suffix in (".png", ".jpg", ".bmp"):
        Image.fromarray(grey).save(folder / f"a{suffix}")
    tifffile.imwrite(folder / "a.tif", grey, imagej=True, resolution=(2, 2), metadata={"unit": "nm"})
    tifffile.imwrite(folder / "lzw.tif", grey.astype(np.uint16), compression="lzw")
    temlib.save_micrograph(micrograph(grey.astype(np.float32), 0.5), folder / "a.hspy")
    write_lambda(folder / "a.nxs", np.random.default_rng(0).poisson(50, (3, *SHAPE)).astype(np.uint16))
    return sorted(folder.iterdir())


def reference(source):
    """Give shape, pixel size and sum of what a whole file holds; None where it is refused."""
    try:
        image = temlib.load_micrograph(source, **({} if "DF4" not in source.name else {"signal": 0}))
    except temlib.MicrographError:
        return None
    return image.data.shape, temlib.pixel_size_of(image), float(np.nan_to_num(image.data.astype(float)).sum())


def check(cases, references, folder):
    """Try all cases; give how many had which outcome, by kind of damage."""
    outcomes = damage.try_all(cases, folder)
    wrong = []
    for case, outcome in zip(cases, outcomes, strict=True):
        true = references.get(case.source)
        if outcome.verdict == "refused":
            good = "\n" not in outcome.message and outcome.message.startswith(("case_", str(folder)))
        elif outcome.verdict == "read" and true is not None:
            good = outcome.size in (None, true[1])
            if case.kind in ("truncated", "wrong extension"):
                good = good and outcome.shape == true[0] and outcome.sum == pytest.approx(true[2], rel=1e-9)
        else:
            good = False
        if not good:
            wrong.append((case.kind, case.source and case.source.name, case.suffix, outcome))
    assert not wrong, "\n".join(map(str, wrong))
    return collections.Counter((case.kind, outcome.verdict) for case, outcome in zip(cases, outcomes, strict=True))


def test_a_sample_of_damaged_files(made, tmp_path):
    cases = [case for i, source in enumerate(made) for case in damage.damage(source, SHAPE, i)]
    cases += damage.no_images(0)
    drawn = np.random.default_rng(1).choice(len(cases), 60, replace=False)
    counts = check([cases[i] for i in drawn], {source: reference(source) for source in made}, tmp_path)
    assert counts.total() == 60
    assert sum(number for (_, verdict), number in counts.items() if verdict == "refused") > 30


@pytest.mark.slow
def test_hundreds_of_damaged_files(made, formats, tmp_path):
    sources = made + sorted(path for path in formats.rglob("*") if path.is_file())
    references = {source: reference(source) for source in sources}
    cases = list(damage.no_images(0))
    for i, source in enumerate(sources):
        cases += damage.damage(source, references[source][0] if references[source] else (), 100 + i)
    counts = check(cases, references, tmp_path)
    assert counts.total() > 700


def test_a_library_that_falls_over_a_file_takes_nothing_with_it(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.zeros((4, 4))
    check_hdf5(tmp_path / "a.h5")
    from temlib.files.hdf5 import inspection as hdf5

    _, helper = hdf5._helper
    helper.kill()
    helper.wait()
    check_hdf5(tmp_path / "a.h5")  # another one is started
    assert hdf5._helper[1].pid != helper.pid
    hdf5._helper[1].send_signal(signal.SIGSTOP)  # one that does not come back is ended
    monkeypatch.setattr(hdf5, "_SECONDS", 0.1)
    with pytest.raises(temlib.MicrographError, match=r"a\.h5: cannot be read \(the HDF5 library fails on it\)"):
        check_hdf5(tmp_path / "a.h5")
    monkeypatch.undo()
    check_hdf5(tmp_path / "a.h5")
    monkeypatch.setattr(hdf5.sys, "executable", None)  # without a helper the file is looked through here
    hdf5._stop()
    check_hdf5(tmp_path / "a.h5")


def test_an_mrc_that_declares_too_much_is_refused_at_once(tmp_path):
    header = np.zeros(256, np.int32)
    header[:4] = 2**31 - 1, 2**31 - 1, 2**31 - 1, 2
    (tmp_path / "a.mrc").write_bytes(header.tobytes() + bytes(64))
    with pytest.raises(temlib.MicrographError, match=r"a\.mrc: declares what it does not hold"):
        temlib.load_micrograph(tmp_path / "a.mrc")
    (tmp_path / "b.mrc").write_bytes(b"MAP")
    with pytest.raises(temlib.MicrographError, match=r"b\.mrc: cannot be read \(shorter than a header"):
        temlib.load_micrograph(tmp_path / "b.mrc")
