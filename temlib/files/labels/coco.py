"""COCO files: the particles of micrographs as annotation tools and detectors exchange them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from temlib import __version__
from temlib.errors import MicrographError
from temlib.files.json_files import read_json
from temlib.files.labels.regions import LARGEST_IMAGE, Box, Runs, as_labels, numbers_for, paint, particles_in, runs_of
from temlib.files.micrographs import as_array
from temlib.writing import check_suffix, write_new

__all__ = ["NO_PARTICLES", "read_coco", "save_coco"]

NO_PARTICLES = ("background", "bar", "label", "scale bar", "text")
"""Categories that are no particles unless one asks for them, in any spelling: scale_bar, ScaleBar."""

_LARGEST_FILE = 10**8  # bytes: Python's objects take up to thirty times as many
_LONGEST_RUN = 60  # bits of its length


def save_coco(labels_by_image: Mapping[str, Any], path: str | os.PathLike, overwrite: bool = False) -> Path:
    """Write the particles of micrographs as one COCO file, as annotation tools and detectors read it.

    Segmentations are uncompressed run lengths, which keep holes and parts exactly; polygons of this
    format know no holes. The number of a particle is kept as ``"particle"`` of its annotation.

    Parameters
    ----------
    labels_by_image : dict of str to signal or int array of shape (height, width)
        Labels by the file name of their micrograph.
    path : path
        Ends in ``.json``.
    overwrite : bool
        Replace a file of that name.

    Raises
    ------
    MicrographError
        When the file exists and ``overwrite`` is false; when some labels are no labels.
    """
    check_suffix(path, ".json")
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id, (name, labels) in enumerate(labels_by_image.items(), start=1):
        array = as_labels(as_array(labels), str(name))
        height, width = array.shape
        images.append({"id": image_id, "file_name": str(name), "width": width, "height": height})
        for number, box, mask in particles_in(array):
            annotation = {"id": len(annotations) + 1, "image_id": image_id, "category_id": 1, "particle": number}
            annotations.append(annotation | _describe_mask(box, mask, array.shape))
    content = {
        "info": {"description": "particles in TEM images", "contributor": f"temlib {__version__}"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "particle", "supercategory": "particle"}],
    }
    text = json.dumps(content, separators=(",", ":"))
    return write_new(path, overwrite, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _describe_mask(box: Box, mask: np.ndarray, shape: tuple[int, int]) -> dict[str, Any]:
    """Give segmentation, area and box of one annotation; run lengths go down the columns."""
    columns, rows = np.nonzero(mask.T)
    place = (columns + box[1].start) * shape[0] + rows + box[0].start
    gaps = np.flatnonzero(np.diff(place) > 1)
    starts, stops = place[np.r_[0, gaps + 1]], place[np.r_[gaps, len(place) - 1]] + 1
    borders = np.column_stack([starts, stops]).ravel()
    counts = np.diff(borders, prepend=0, append=shape[0] * shape[1]).tolist()
    return {
        "segmentation": {"size": list(shape), "counts": counts if counts[-1] else counts[:-1]},
        "area": int(mask.sum()),
        "bbox": [box[1].start, box[0].start, mask.shape[1], mask.shape[0]],
        "iscrowd": 0,
    }


def read_coco(
    path: Path, image: str | None = None, categories: str | int | Sequence[str | int] | None = None
) -> np.ndarray:
    """Read the particles of one image; see :func:`temlib.load_labels`."""
    content = read_json(path, _LARGEST_FILE, object, MicrographError)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise MicrographError(f"{path.name}: no COCO file (it lacks 'images' or 'annotations'); export as COCO")
    chosen = _choose(path.name, content["images"], image)
    height, width = int(chosen["height"]), int(chosen["width"])
    if min(height, width) < 1 or height * width > LARGEST_IMAGE:
        raise MicrographError(f"{path.name}: an image of shape {(height, width)} is not possible; check the file")
    of_image = [each for each in content["annotations"] if each["image_id"] == chosen["id"] and not each.get("iscrowd")]
    kept = _of_categories(of_image, content.get("categories", []), categories, path.name)
    numbers = numbers_for([_whole(each.get("particle")) for each in kept])
    runs = (_runs(each, (height, width), path.name) for each in kept)
    columns = paint((width, height), zip(numbers, runs, strict=True))  # run lengths go down the columns
    return np.ascontiguousarray(columns.T)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _choose(file: str, images: Sequence[dict], name: str | None) -> dict:
    if name is None and len(images) == 1:
        return images[0]
    for image in images:
        if image["file_name"] == name:
            return image
    found = "no image" if name is None else f"no image {name!r}"
    raise MicrographError(
        f"{file}: {found} chosen of {len(images)} ({_words(image['file_name'] for image in images)}); pass image=..."
    )


def _words(names: Iterable[Any]) -> str:
    words = [repr(name)[:80] for name in names]
    return ", ".join(words[:5] + ["..."] * (len(words) > 5))


def _of_categories(
    annotations: list[dict], known: Sequence[dict], wanted: str | int | Sequence[str | int] | None, file: str
) -> list[dict]:
    """Keep the annotations of some categories, by default of all that may be particles."""
    names = {each["id"]: str(each["name"]) for each in known}
    if wanted is None:
        others = {_plain(name) for name in NO_PARTICLES}
        kept = [each for each in annotations if _plain(names.get(each.get("category_id"), "")) not in others]
        if annotations and not kept:
            words = _words(names.values())
            raise MicrographError(f"{file}: holds no particles but {words}; pass categories=... to take these as such")
        return kept
    wanted = [wanted] if isinstance(wanted, (str, int)) else list(wanted)
    unknown = set(wanted) - set(names) - set(names.values())
    if unknown:
        raise MicrographError(
            f"{file}: no category {_words(unknown)}; pass categories= out of {_words(names.values())}"
        )
    numbers = {number for number, name in names.items() if number in wanted or name in wanted}
    return [each for each in annotations if each.get("category_id") in numbers]


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum()).removesuffix("s")


def _runs(annotation: dict, shape: tuple[int, int], file: str) -> Runs:
    """Give the runs of an annotation down the columns of an image of shape (height, width)."""
    segmentation, size = annotation.get("segmentation"), shape[0] * shape[1]
    if not segmentation:
        raise MicrographError(f"{file}: annotation {annotation.get('id')} has no outline; export segmentations")
    if isinstance(segmentation, list):
        parts = [runs_of([np.array(polygon, float).reshape(-1, 2)], shape[::-1]) for polygon in segmentation]
        return np.concatenate([starts for starts, _ in parts]), np.concatenate([stops for _, stops in parts])
    counts = segmentation["counts"]
    counts = np.asarray(_decode(counts) if isinstance(counts, str) else counts)
    runs = counts.ndim == 1 and counts.dtype.kind == "i" and 0 <= counts.min() <= counts.max() <= size
    if segmentation["size"] != list(shape) or not runs or counts.sum() != size:
        raise MicrographError(f"{file}: annotation {annotation.get('id')} does not fit its image; export it again")
    borders = np.cumsum(counts)
    return borders[:-1:2], borders[1::2]


def _decode(text: str) -> list[int]:
    """Decode compressed run lengths: five bits a character, the lowest first, each run less the last but one."""
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if not 0 <= bits < 64 or shift > _LONGEST_RUN:
            raise ValueError("run lengths that cannot be decoded")
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
