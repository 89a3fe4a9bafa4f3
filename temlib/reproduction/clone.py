"""The clone of temlib whose notebooks are run: the one that this package comes from, not any folder of that look."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from temlib.errors import RunError
from temlib.reproduction.run_folder import NOTEBOOKS

__all__ = ["find_clone"]


def find_clone(package: Path) -> Path:
    """Find the clone that a package comes from.

    Notebooks are programs: those of a folder that only happens to be the current one are not run. It is
    the folder in which the package lies, the one it was installed from, or else the current folder where
    that holds the same package.

    Parameters
    ----------
    package : path
        The folder of the imported package.

    Raises
    ------
    RunError
        When there is none.
    """
    current = Path.cwd()
    for folder in (package.parent, _installed_from(package)):
        if folder is not None and _is_clone(folder):
            return folder
    if _is_clone(current) and _same_package(package, current / package.name):
        return current
    raise RunError(
        "the notebooks are not here; this command runs in a clone of the temlib repository: change into it, "
        "and install temlib from there (pip install -e .)"
    )


def _is_clone(folder: Path) -> bool:
    try:
        with (folder / "pyproject.toml").open("rb") as file:
            named = tomllib.load(file)["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return named == "temlib" and all((folder / "notebooks" / f"{name}.ipynb").is_file() for name in NOTEBOOKS)


def _installed_from(package: Path) -> Path | None:
    """Give the folder that pip was given, as it keeps it beside what it installed."""
    try:
        found: Distribution = distribution(package.name)
        if Path(str(found.locate_file(package.name))) != package:
            return None
        url = urlsplit(json.loads(found.read_text("direct_url.json") or "{}").get("url", ""))
    except (PackageNotFoundError, ValueError):
        return None
    return Path(url2pathname(unquote(url.path))) if url.scheme == "file" else None


def _same_package(one: Path, other: Path) -> bool:
    modules = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.py")} for folder in (one, other)
    ]
    return modules[0] == modules[1]
