"""The workshop kit: a folder with all that a room without a network needs, for ``temlib workshop``.

::

    HANDOUT.md   one page: how to install, what is done when
    check.py     says in one line whether a laptop is ready
    notebooks/   as participants get them: outputs cleared, cells to fill in
    solutions/   the same notebooks with worked solutions and outputs
    package/     temlib itself, with its data set and its network
    wheelhouse/  where asked for: every package that temlib needs, for this kind of machine
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

from temlib import __version__
from temlib.datasets import CARRIED
from temlib.errors import RunError
from temlib.files.child_processes import without_current_folder
from temlib.reproduction.run_folder import NOTEBOOKS
from temlib.writing import write_folder

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["SOLUTION", "for_participants", "make_kit", "with_solutions"]

SOLUTION = "solution"
"""Tag of the cells that solve an exercise."""

_TO_FILL_IN = "# Your solution\n"
_PACKAGE = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "CITATION.cff")
_ONLINE = "pip install -c package/constraints.txt ./package"
_OFFLINE = "pip install --no-index --find-links wheelhouse temlib"


def make_kit(clone: str | os.PathLike, out: str | os.PathLike, wheelhouse: bool = False) -> Path:
    """Write a workshop kit into a new folder: all of it or nothing.

    Parameters
    ----------
    clone : path
        The clone of temlib, whose notebooks are taken.
    out : path
        The folder to make.
    wheelhouse : bool
        Fetch all packages as well, 0.8 GB on Linux, with pip: the only step that needs a network. They suit
        machines with this one's system, processor and version of Python.

    Returns
    -------
    path of the kit

    Raises
    ------
    RunError
        When the folder exists, a notebook is missing, or pip fails.
    """
    clone, out = Path(clone), Path(out)
    if out.exists():
        raise RunError(f"{out}: exists already; name a new folder for the kit")
    return write_folder(out, lambda temporary: _fill(temporary, clone, wheelhouse))


def for_participants(notebook: NotebookNode) -> NotebookNode:
    """Give a copy without outputs, in which an empty cell stands for each solution."""
    notebook = deepcopy(notebook)
    cells: list[NotebookNode] = []
    for cell in notebook.cells:
        if SOLUTION in cell.metadata.get("tags", []):
            if cells and "exercise" in cells[-1].metadata.get("tags", []):
                continue  # several cells solve one exercise: one to fill in is enough
            cell.metadata = {"tags": ["exercise"]}
            cell.source = _TO_FILL_IN
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cells.append(cell)
    notebook.cells = cells
    return notebook


def with_solutions(notebook: NotebookNode) -> NotebookNode:
    """Give a copy in which the solutions are not folded away."""
    notebook = deepcopy(notebook)
    for cell in notebook.cells:
        cell.metadata.pop("jupyter", None)
    return notebook


def _fill(folder: Path, clone: Path, wheelhouse: bool) -> None:
    import nbformat

    for name in ("notebooks", "solutions", "package"):
        (folder / name).mkdir(parents=True)
    notebooks = sorted((clone / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if missing := set(NOTEBOOKS) - {path.stem for path in notebooks}:
        raise RunError(f"{clone}: there is no notebook {min(missing)} here; run this in a clone of temlib")
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        nbformat.write(for_participants(notebook), folder / "notebooks" / path.name)
        nbformat.write(with_solutions(notebook), folder / "solutions" / path.name)
    for name in _PACKAGE:
        shutil.copy2(clone / name, folder / "package" / name)
    shutil.copytree(clone / "temlib", folder / "package" / "temlib", ignore=shutil.ignore_patterns("__pycache__"))
    if wheelhouse:
        _fetch_wheels(folder / "package", folder / "wheelhouse")
    shutil.copy2(CARRIED / "workshop" / "check.py", folder / "check.py")
    (folder / "HANDOUT.md").write_text(_handout(wheelhouse), encoding="utf-8")


def _handout(wheelhouse: bool) -> str:
    """Fill in how this kit is installed."""
    text = (CARRIED / "workshop" / "HANDOUT.md").read_text(encoding="utf-8")
    machine = f"{platform.system()} on {platform.machine()} with Python {sys.version_info[0]}.{sys.version_info[1]}"
    where = (
        f"The packages in `wheelhouse/` are for {machine}; no network is needed."
        if wheelhouse
        else "This one step needs a network: do it before the workshop."
    )
    filled = {"VERSION": __version__, "INSTALL": _OFFLINE if wheelhouse else _ONLINE, "WHERE": where}
    for name, value in filled.items():
        text = text.replace(f"@{name}@", value)
    return text


def _fetch_wheels(package: Path, wheelhouse: Path) -> None:
    command = [sys.executable, "-P", "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(wheelhouse)]
    command += ["--constraint", str(package / "constraints.txt"), str(package)]
    with without_current_folder():
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RunError(f"the wheelhouse could not be filled ({reason[:160]}); it needs a network and pip")
    for leftover in ("build", "temlib.egg-info"):
        shutil.rmtree(package / leftover, ignore_errors=True)
