"""Named data sets: micrographs with instance labels, split once and for all.

``emps`` are real micrographs, fetched on first use or read from the folder that the environment
variable ``TEMLIB_DATA`` names; ``simulated``, rendered by ``temlib/datasets/multislice/render.py``,
comes with the package.
This is the only module that fetches data from the network.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from temlib.errors import DatasetError, one_line
from temlib.files.micrographs import load_micrograph, with_axes_of

if TYPE_CHECKING:
    import pandas as pd
    from hyperspy.signals import Signal2D

__all__ = [
    "CARRIED",
    "DATASETS",
    "REGISTRY",
    "Annotated",
    "Dataset",
    "assign_splits",
    "fetch",
    "load",
    "of_split",
    "table",
]

CARRIED = Path(__file__).resolve().parents[1] / "data"
"""Folder of all data that the package carries."""

REGISTRY = CARRIED / "registry"
"""Folder of a table for each data set: its micrographs, their splits and sums."""

_SILENT = 30.0  # seconds without a byte after which a server is given up


@dataclass(frozen=True)
class Dataset:
    """Where a data set comes from and on what terms.

    Attributes
    ----------
    title, licence, citation, doi : str
        What it is, and how to cite it.
    url : str
        Folder of its files at a pinned commit, or "" where nothing is fetched.
    """

    title: str
    licence: str
    citation: str
    doi: str = ""
    url: str = ""


DATASETS = {
    "emps": Dataset(
        title="EMPS: 187 bright-field micrographs of particles, hand-drawn instance masks",
        licence="MIT (the repository's; the pictures are crops of published figures: fetch, do not redistribute)",
        citation="B. Yildirim and J. M. Cole, J. Chem. Inf. Model. 2021, 61, 1136",
        doi="10.1021/acs.jcim.0c01455",
        url="https://raw.githubusercontent.com/by256/emps/dd8f86d714894fd08f3db80041893982ce058dd6/",
    ),
    "simulated": Dataset(
        title="simulated: 44 micrographs of nanoparticles on carbon, by multislice with abTEM 1.0.11",
        licence="CC0-1.0",
        citation="J. Madsen and T. Susi, Open Research Europe 2021, 1:24",
        doi="10.12688/openreseurope.13015.1",
    ),
}


@dataclass(frozen=True)
class Annotated:
    """A micrograph with the instance labels that count as truth.

    Attributes
    ----------
    name : str
        Unique in its data set.
    image : Signal2D of shape (height, width)
        Calibrated where the pixel size is known.
    labels : Signal2D of shape (height, width), int32
        0 is background, 1..n the particles.
    """

    name: str
    image: Signal2D
    labels: Signal2D

    @property
    def mask(self) -> np.ndarray:
        """The particles' pixels; bool array of shape (height, width)."""
        return self.labels.data > 0


def table(dataset: str) -> pd.DataFrame:
    """List the micrographs of a data set: name, group (article) and split, in a fixed order."""
    return _registry(dataset)[["name", "group", "split"]]


def of_split(dataset: str, *splits: str) -> list[Annotated]:
    """Load the micrographs of some splits (``"train"``, ``"validation"``, ``"test"``); of all where none is named."""
    known = table(dataset)
    return load(dataset, list(known.loc[known["split"].isin(splits) | (not splits), "name"]))


def load(dataset: str, names: Sequence[str]) -> list[Annotated]:
    """Load micrographs of a data set by name.

    Parameters
    ----------
    dataset : str
        A key of :data:`DATASETS`.
    names : sequence of str
        Names from :func:`table`.

    Returns
    -------
    list of Annotated, in the order of ``names``

    Raises
    ------
    DatasetError
        When the data set or a name is unknown, a file is out of reach, or its sha256 is wrong.
    """
    known = _registry(dataset).set_index("name")
    unknown = sorted(set(names) - set(known.index))
    if unknown:
        raise DatasetError(f"{dataset} has no micrograph {unknown[0]!r}; see temlib.datasets.table({dataset!r})")
    rows = known.loc[list(names)].itertuples()
    return [_read(dataset, row.Index, row.image_sha256, row.labels_sha256) for row in rows]


def assign_splits(groups: Sequence[str], sizes: dict[str, int], seed: int) -> list[str]:
    """Split micrographs so that no group is in two splits.

    Groups are visited in random order; each goes, whole, to the first split of ``sizes`` that it
    still fits in, and otherwise to ``train``.

    Parameters
    ----------
    groups : sequence of str
        The group (article) of each micrograph.
    sizes : dict of str to int
        How many micrographs each split takes, ``train`` excepted.
    seed : int
        Same seed, same split.

    Returns
    -------
    list of str, the split of each micrograph
    """
    names, counts = np.unique(np.asarray(groups), return_counts=True)
    room, of_group = dict(sizes), {}
    for index in np.random.default_rng(seed).permutation(len(names)):
        split = next((s for s, left in room.items() if counts[index] <= left), "train")
        of_group[names[index]] = split
        if split in room:
            room[split] -= int(counts[index])
    return [of_group[group] for group in groups]


def _registry(dataset: str) -> pd.DataFrame:
    import pandas as pd

    if dataset not in DATASETS:
        raise DatasetError(f"no data set is called {dataset!r}; choose from {', '.join(DATASETS)}")
    return pd.read_csv(REGISTRY / f"{dataset}.csv", dtype=str)


def _read(dataset: str, name: str, image_sha256: str, labels_sha256: str) -> Annotated:
    if dataset == "simulated":
        image, labels = (load_micrograph(CARRIED / dataset / part / f"{name}.hspy") for part in ("images", "labels"))
    else:
        image = load_micrograph(_fetch(dataset, f"images/{name}.png", image_sha256))
        labels = load_micrograph(_fetch(dataset, f"segmaps/{name}.png", labels_sha256))
    return Annotated(name, image, with_axes_of(image, labels.data.astype(np.int32), name))


def _fetch(dataset: str, file: str, sha256: str) -> Path:
    """Give the path of a checked file: in ``TEMLIB_DATA`` when set, else in pooch's cache."""
    folder = os.environ.get("TEMLIB_DATA")
    if folder:
        path = Path(folder) / dataset / file
        if not path.is_file():
            raise DatasetError(f"{path}: missing; put {dataset} there, or unset TEMLIB_DATA to download it")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256:
            raise DatasetError(
                f"{path}: is not the file that temlib expects (its sha256 is {found[:12]}..., not {sha256[:12]}...); "
                "fetch it again"
            )
        return path
    import pooch

    try:
        return fetch(DATASETS[dataset].url + file, pooch.os_cache("temlib") / dataset / file.replace("/", "_"), sha256)
    except DatasetError as error:
        raise DatasetError(
            f"{dataset}: {file} could not be downloaded from {DATASETS[dataset].url} ({error}); "
            f"connect to the network, or set TEMLIB_DATA to a folder that holds {dataset}/"
        ) from error


def fetch(url: str, target: Path, sha256: str | None = None, seconds: float = 600) -> Path:
    """Download a file unless it is there: whole, checked and renamed, or not at all.

    Two processes may fetch the same file at once. A server that says nothing for 30 s is given up;
    one that keeps on dripping, after ``seconds``.

    Parameters
    ----------
    url : str
        Where it is.
    target : Path
        Where it shall be.
    sha256 : str, optional
        Its sum. A file that is there with another one is fetched again.
    seconds : float
        Longest time that the download may take [s].

    Raises
    ------
    DatasetError
        When it does not come, comes too slowly, or is not the file expected.
    """
    import pooch

    ends = time.monotonic() + seconds
    silent = min(seconds, _SILENT)

    class Bounded(pooch.HTTPDownloader):
        def __call__(self, url: str, output_file: Any, pooch: Any, check_only: bool = False) -> bool | None:
            with open(output_file, "wb") as file:
                return super().__call__(url, _Until(ends, file), pooch, check_only)

    if sha256 is None and target.is_file():
        return target
    pooch.get_logger().setLevel("WARNING")  # no line for each of hundreds of files
    try:
        path = pooch.retrieve(
            url,
            known_hash=sha256 and f"sha256:{sha256}",
            fname=target.name,
            path=target.parent,
            downloader=Bounded(timeout=silent, chunk_size=256),
        )
    except Exception as error:  # requests, urllib3 and pooch raise a dozen kinds
        raise DatasetError(f"{type(error).__name__}: {one_line(error, 200)}") from error
    return Path(path)


class _Until:
    """A file that can be written to until some time: what is slower than that never ends."""

    def __init__(self, ends: float, file: BinaryIO):
        self._ends, self._file = ends, file

    def write(self, content: bytes) -> int:
        if time.monotonic() > self._ends:
            raise TimeoutError("the network is too slow")
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()
