"""What a folder of micrographs holds: each micrograph once, temlib's own results left alone."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np

from temlib.errors import MicrographError, RunError, readable
from temlib.files.grey_levels import normalise
from temlib.files.micrographs import load_micrograph, pixel_size_of
from temlib.files.pictures import PICTURES
from temlib.files.reading import READABLE
from temlib.files.resampling import resize
from temlib.jobs.results import results_in

__all__ = ["Inputs", "digest_of", "files_in", "find_inputs", "names_of", "place_of"]

# Of two files with one picture the first of these is the micrograph, where both or none have a pixel size.
_PICTURES = ("tif", "tiff", "png", "bmp")
_ORIGINALS = (*(kind for kind in READABLE if kind not in PICTURES), *_PICTURES)
_ALIKE = 0.9  # correlation of grey levels: an exported picture has another contrast, perhaps a scale bar
_EDGE = 256  # px: on pictures of this size
_PROPORTIONS = 0.01
_ZARR = ".zspy"


@dataclass
class Inputs:
    """Micrographs to segment, and what was left out.

    Attributes
    ----------
    files : list of Path
        Each micrograph once.
    notes : list of str
        A line on each file, or kind of files, that was left out.
    """

    files: list[Path]
    notes: list[str] = field(default_factory=list)


def find_inputs(paths: Sequence[Path]) -> Inputs:
    """Find the micrographs among files and folders.

    Of a folder: the files in it, hidden ones and those of kinds that :func:`temlib.load_micrograph` does not
    read left out; not those of folders in it, which a note says. Then, of all: what temlib itself wrote is left
    alone. An ``.emi`` and its series ``_1.ser``, ``_2.ser``, ... are one micrograph, read from the ``.emi``.
    Files of one folder and stem that show the same picture (of the same proportions, grey levels with a
    correlation above 0.9, inverted or not) are one micrograph, read from the file that has a pixel size, or
    else from the more original kind: of a microscope's software before tif before png before others.

    Raises
    ------
    RunError
        When no micrograph is left, or a folder cannot be looked into.
    """
    files = list(dict.fromkeys(file for path in paths for file in _listed(path)))
    notes = [note for path in paths if path.is_dir() for note in _deeper(path)]
    for leave_out in (_own, partial(_of_other_kinds, {path for path in paths if not path.is_dir()})):
        left = leave_out(files)
        files, notes = [file for file in files if file not in left], notes + _summed_up(left)
    for find_doubles in (_links, _series, _twins):
        doubles = dict(find_doubles(files))
        files, notes = [file for file in files if file not in doubles], notes + list(doubles.values())
    if not files:
        raise RunError(f"{', '.join(map(str, paths))}: no files there to segment; name micrographs or a folder of them")
    return Inputs(files, notes)


def files_in(paths: Sequence[Path]) -> list[Path]:
    """Give the micrographs among files and folders; see :func:`find_inputs`."""
    return find_inputs(paths).files


def names_of(files: Sequence[Path], known: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Name each micrograph after its file, with the suffix where two would have one name.

    Parameters
    ----------
    files : sequence of Path
        Micrographs.
    known : dict of str to str, optional
        Names that micrographs have from an earlier run, by :func:`place_of` their files; they keep them.

    Raises
    ------
    RunError
        When two files have one name even so.
    """
    kept = {file: known[place_of(file)] for file in files if known and place_of(file) in known}
    new = [file for file in files if file not in kept]
    stems = Counter([*(readable(file.stem) for file in new), *kept.values()])
    names = {name: file for file, name in kept.items()}
    for file in new:
        stem = readable(file.stem)
        name = stem if stems[stem] == 1 else readable(file.name).replace(".", "_")
        if name in names:
            raise RunError(f"{file} and {names[name]}: have one name; segment them into two folders")
        names[name] = file
    return names


def place_of(file: Path) -> str:
    """Give the path of a file as tables keep it."""
    return readable(os.path.abspath(file))


def digest_of(file: Path) -> tuple[int, str]:
    """Give the size [bytes] and sha256 of a micrograph: of all files that it is read from."""
    parts = [file]
    if file.is_dir():
        parts = sorted(path for path in file.rglob("*") if path.is_file())
    elif file.suffix.lower() == ".emi":
        parts += sorted(path for path in file.parent.iterdir() if _header_of(path) == (file.parent, file.stem.lower()))
    digests = []
    for part in parts:
        with part.open("rb") as opened:
            digests.append(file_digest(opened, "sha256").digest())
    digest = digests[0] if len(digests) == 1 else sha256(b"".join(digests)).digest()
    return sum(part.stat().st_size for part in parts), digest.hex()


def _listed(path: Path) -> Iterator[Path]:
    """Give a file, or the files in a folder that are not hidden; a folder of zarr is a file."""
    if not path.is_dir() or path.suffix.lower() == _ZARR:
        yield path
        return
    try:
        yield from sorted(
            file
            for file in path.iterdir()
            if not file.name.startswith(".") and (file.is_file() or file.suffix.lower() == _ZARR)
        )
    except OSError as error:
        raise RunError(f"{path}: cannot be looked into ({error.strerror}); check the folder") from error


def _deeper(path: Path) -> Iterator[str]:
    """Say of a folder that there are folders in it that are not looked into; those of temlib's results are not said."""
    if path.suffix.lower() == _ZARR:
        return
    folders = [
        each.name
        for each in sorted(path.iterdir())
        if each.is_dir() and not each.name.startswith(".") and each.suffix.lower() != _ZARR and not _holds_results(each)
    ]
    if folders:
        more = f" and {len(folders) - 1} more" if len(folders) > 1 else ""
        yield f"{path}: folders in it are not looked into ({folders[0]}/{more}); name what else to segment"


def _holds_results(folder: Path) -> bool:
    try:
        return bool(results_in(folder))
    except OSError:  # that it may not be looked into matters to nobody
        return False


def _own(files: Sequence[Path]) -> dict[Path, str]:
    """Find what temlib wrote."""
    own = {folder: results_in(folder) for folder in {file.parent for file in files} if folder.is_dir()}
    return {file: "of temlib's results" for file in files if file.name in own.get(file.parent, ())}


def _of_other_kinds(named: Collection[Path], files: Sequence[Path]) -> dict[Path, str]:
    """Find files that are no micrographs by their names, those that somebody named apart."""
    kinds = {file: file.suffix.lower().lstrip(".") for file in files if file not in named}
    return {
        file: f"of kind .{kind}" if kind else "without a kind" for file, kind in kinds.items() if kind not in READABLE
    }


def _summed_up(left: Mapping[Path, str]) -> list[str]:
    """Say in a line for each folder what is left alone there."""
    notes: defaultdict[Path, list[str]] = defaultdict(list)
    for (folder, what), number in Counter((file.parent, what) for file, what in left.items()).items():
        notes[folder].append(f"{number} {what}")
    return [f"{folder}: left alone {', '.join(what)}" for folder, what in notes.items()]


def _links(files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Find files that are another one under a second name."""
    first: dict[str, Path] = {}
    for file in files:
        other = first.setdefault(os.path.realpath(file), file)
        if other is not file:
            yield file, f"{file}: is {other} by another name, which is taken"


def _series(files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Find series that are read from an ``.emi``."""
    headers = {(file.parent, file.stem.lower()): file for file in files if file.suffix.lower() == ".emi"}
    for file in files:
        header = headers.get(_header_of(file) or (file, ""))
        if header:
            yield file, f"{file}: holds the data of {header.name}, which is taken"


def _header_of(file: Path) -> tuple[Path, str] | None:
    series = re.fullmatch(r"(.+)_\d\.ser", file.name.lower())
    return (file.parent, series[1]) if series else None


def _twins(files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Find files that show what another one of the same stem shows."""
    stems: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
    for file in files:
        stems[file.parent, file.stem].append(file)
    for group in stems.values():
        if len(group) > 1:
            yield from _exported(group)


def _exported(group: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Find among files of one stem those that show what a more original one shows."""
    seen = {file: image for file in group if (image := _picture(file)) is not None}
    taken: list[Path] = []
    for file in sorted(seen, key=lambda file: (pixel_size_of(seen[file]) is None, _rank(file))):
        alike = next((other for other in taken if _show_the_same(seen[file], seen[other])), None)
        if alike is None:
            taken.append(file)
        else:
            yield file, f"{file}: shows the same as {alike.name}, which is taken"


def _rank(file: Path) -> int:
    kind = file.suffix.lower().lstrip(".")
    return _ORIGINALS.index(kind) if kind in _ORIGINALS else len(_ORIGINALS)


def _picture(file: Path) -> Any:
    """Read a single image; None where it is none, which is said when its turn comes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = load_micrograph(file, lazy=True)
            return load_micrograph(file) if image.data.ndim == 2 else None
    except Exception:  # whatever a reader raises
        return None


def _show_the_same(one: Any, other: Any) -> bool:
    (height, width), (rows, columns) = one.data.shape, other.data.shape
    if abs(height * columns - rows * width) > _PROPORTIONS * height * columns:
        return False
    shape = (min(height, rows, _EDGE), min(width, columns, _EDGE))
    try:
        grey, levels = (resize(normalise(image), shape).ravel() for image in (one, other))
    except MicrographError:  # without a finite pixel
        return False
    return bool(grey.std() > 0 and levels.std() > 0 and abs(np.corrcoef(grey, levels)[0, 1]) > _ALIKE)
