"""Whatever lies in the current folder: no process that temlib starts imports it, and no notebook there is run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import tifffile

from temlib import cli
from temlib.errors import RunError
from temlib.files.child_processes import import_path, python, without_current_folder
from temlib.files.micrographs import micrograph, save_micrograph
from temlib.reproduction import workshop
from temlib.reproduction.clone import find_clone
from temlib.reproduction.run_folder import NOTEBOOKS
from tests.conftest import ROOT

NAMES = (
    *("json", "multiprocessing", "numpy", "h5py", "tempfile", "socket", "pickle", "threading", "subprocess", "queue"),
    *("logging", "asyncio", "zipfile", "hashlib", "random", "struct", "signal", "string", "typing", "dataclasses"),
    *("dask", "distributed", "tornado", "keras", "tensorflow", "scipy", "skimage", "rsciio", "zarr", "msgpack"),
    *("ipykernel_launcher", "IPython", "pip", "setuptools", "sitecustomize", "usercustomize", "temlib"),
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of somebody's files, the current one: data, and modules that say when they are run."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n")
    random = np.random.default_rng(0)
    save_micrograph(micrograph(random.normal(size=(96, 96)), 0.5, "a"), tmp_path / "a.hspy")
    movie = random.integers(0, 255, (6, 64, 64), np.uint8)
    tifffile.imwrite(tmp_path / "movie.tif", movie, photometric="minisblack")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()


def run(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def test_files_are_opened(folder):
    code = "import temlib; temlib.load_micrograph('a.hspy'); temlib.load_segmenter(); "
    code += "from temlib.files.hdf5 import inspection; print(inspection._helper is not None)"
    assert run(sys.executable, "-P", "-c", code).stdout == "True\n"


def test_an_import_path_with_the_current_folder_is_not_handed_on(folder):
    """As in a notebook: its folder stands on the import path, here last."""
    code = "import sys, temlib; sys.path.append(''); temlib.load_micrograph('a.hspy')"
    run(sys.executable, "-P", "-c", code)


def test_the_command_segments(folder):
    run(sys.executable, "-P", "-m", "temlib.cli", "segment", "a.hspy", "--out", "one")
    script = Path(sys.executable).with_name("temlib")
    if script.exists():
        run(script, "segment", "a.hspy", "--out", "two")


def test_workers_segment_a_movie(folder):
    pytest.importorskip("distributed")
    settings = ["--out", "movie.zspy", "--workers", "2", "--chunk", "2"]
    run(sys.executable, "-P", "-m", "temlib.cli", "segment", "movie.tif", *settings)


def test_pip_fills_the_wheelhouse(folder, monkeypatch):
    real, seen = subprocess.run, []

    def only_start(command, **options):
        seen.append(real([*command[: command.index("pip") + 1], "--version"], **options))
        return seen[-1]

    monkeypatch.setattr(workshop.subprocess, "run", only_start)
    workshop._fetch_wheels(folder / "package", folder / "wheelhouse")
    assert seen[0].stdout.startswith("pip ")
    assert os.environ.get("PYTHONSAFEPATH") is None


def test_the_kernel_of_a_notebook_starts(folder):
    source = "import json, socket, numpy, sys; assert '' not in sys.path"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbformat.write(notebook, folder / "a.ipynb")
    cli._execute(folder / "a.ipynb", {}, folder / "out")


def test_the_import_path_is_as_before_afterwards(folder, monkeypatch):
    before = ["", str(folder), *sys.path]
    monkeypatch.setattr(sys, "path", list(before))
    with without_current_folder():
        assert sys.path == before[2:] == import_path()
        assert run(sys.executable, "-c", "import sys; print(sys.flags.safe_path)").stdout == "True\n"
    assert sys.path == before
    monkeypatch.setattr(sys, "path", before[2:])
    monkeypatch.chdir(ROOT)  # a current folder that temlib itself comes from is the last
    assert Path(import_path()[-1]) == ROOT
    assert run(*python("import temlib; print('found')")).stdout == "found\n"


def clone(folder, name="temlib"):
    shutil.copytree(ROOT / "temlib", folder / "temlib", ignore=shutil.ignore_patterns("data", "__pycache__"))
    (folder / "notebooks").mkdir()
    for notebook in NOTEBOOKS:
        (folder / "notebooks" / f"{notebook}.ipynb").write_text("{}")
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    return folder


def test_a_clone_is_known_by_what_it_is(tmp_path, monkeypatch):
    here, package = clone(tmp_path / "here"), tmp_path / "site-packages" / "temlib"
    shutil.copytree(here / "temlib", package)
    monkeypatch.chdir(here)
    assert find_clone(ROOT / "temlib") == ROOT  # the one of the package, whatever the current folder is
    assert find_clone(package) == here  # none of the package's own: one with the same package
    (here / "temlib" / "cli.py").write_text("")
    for elsewhere in (here, clone(tmp_path / "other", "tomlib"), tmp_path):
        monkeypatch.chdir(elsewhere)
        with pytest.raises(RunError, match="in a clone of the temlib repository"):
            find_clone(package)


def test_the_command_says_whose_notebooks_it_runs(folder, capsys):
    (folder / "notebooks").mkdir()
    nbformat.write(nbformat.v4.new_notebook(), folder / "notebooks" / f"{NOTEBOOKS[0]}.ipynb")
    assert cli._notebooks() == ROOT / "notebooks"
    assert capsys.readouterr().err == f"notebooks of {ROOT}\n"
