"""Metal particles on supports: are they found, with the size told and without?

Twelve micrographs of supported catalysts in which somebody drew a box around each particle (bright and
dark field; Cu, Pd, Pt and Ru). F1 of boxes: a box found pairs with a drawn one where their IoU is 0.5
or more. Rivals: a difference of Gaussians told diameter and polarity, its blobs grown by a watershed;
Otsu's threshold, told the contrast, with the separation of the network's masks; the bundled network,
told nothing, the contrast, the median diameter of the boxes, the diameter with contrast "auto", and
diameter and contrast. These twelve are to look at and to choose by: they are no test.

Needs TEMLIB_DATA with the folder ``supported``; twenty minutes on two cores. Writes
temlib/data/measured/supported.csv, one row for each micrograph and way; what is there already is not
done again.

    python -m tests.benchmarks.supported
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

import temlib
from temlib.network.bundled import BRIGHT_FIELD
from temlib.particles.separation import separate_particles
from temlib.pixel_classifier import otsu_mask
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

TABLE = MEASURED / "supported.csv"
DARK = set(BRIGHT_FIELD)  # where particles are dark


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    done = Results(TABLE, ("way", "name"), "%.4f")
    for image, boxes, name in micrographs():
        for way, find in WAYS.items():
            if done.has(way, name):
                continue
            told = {"diameter_px": float(np.median(diameters(boxes))), "contrast": "dark" if name in DARK else "bright"}
            found = boxes_of(find(image, **told))
            done.add([{"way": way, "name": name, "drawn": len(boxes), "f1": box_f1(found, boxes)}])
    print(summary(done.table).to_string())


def micrographs():
    """Yield the image, its boxes (top, left, bottom, right) and its name, of each micrograph."""
    folder = Path(os.environ["TEMLIB_DATA"]) / "supported"
    for path in sorted((folder / "images").glob("*.jpg")):
        image = temlib.load_micrograph(path).data
        _, x, y, width, height = np.loadtxt(folder / "labels" / f"{path.stem}.txt", ndmin=2).T
        boxes = np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=1)
        yield image, boxes * np.tile(image.shape, 2), path.stem


def diameters(boxes: np.ndarray) -> np.ndarray:
    """Give the mean of height and width of boxes [px]."""
    return (boxes[:, 2:] - boxes[:, :2]).mean(1)


def boxes_of(labels: np.ndarray) -> np.ndarray:
    """Give the box of each particle: top, left, bottom, right [px]."""
    found = [box for box in ndimage.find_objects(labels) if box is not None]
    return np.array([(y.start, x.start, y.stop, x.stop) for y, x in found], float).reshape(-1, 4)


def box_f1(found: np.ndarray, drawn: np.ndarray, least: float = 0.5) -> float:
    """Give the F1 of boxes, paired one to one where their IoU is ``least`` or more."""
    if not len(found) or not len(drawn):
        return float(len(found) == len(drawn))
    inside = np.minimum(found[:, None, 2:], drawn[None, :, 2:]) - np.maximum(found[:, None, :2], drawn[None, :, :2])
    both = np.clip(inside, 0, None).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (found, drawn)]
    iou = both / (areas[0][:, None] + areas[1] - both)
    pairs = linear_sum_assignment(iou >= least, maximize=True)
    return 2 * float((iou[pairs] >= least).sum()) / (len(found) + len(drawn))


def difference_of_gaussians(image: np.ndarray, diameter_px: float, contrast: str) -> np.ndarray:
    """Find blobs of a size; each grows, by a watershed, to half its height."""
    sigma = diameter_px / 2 / np.sqrt(2)
    grey = image.astype(float) * (1 if contrast == "bright" else -1)
    blobs = ndimage.gaussian_filter(grey, sigma / 1.26) - ndimage.gaussian_filter(grey, 1.26 * sigma)
    noise = 1.4826 * np.median(np.abs(blobs - np.median(blobs)))
    peaks = peak_local_max(blobs, min_distance=max(int(diameter_px / 2), 1), threshold_abs=4 * noise)
    markers = np.zeros(image.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    grown = watershed(-blobs, markers, mask=blobs > noise)
    heights = np.concatenate([[np.inf], blobs[tuple(peaks.T)]])
    return np.where(blobs > heights[grown] / 2, grown, 0)


def otsu(image: np.ndarray, diameter_px: float, contrast: str) -> np.ndarray:
    """Find what is brighter or darker than Otsu's threshold, told apart by its shape."""
    mask = otsu_mask(image if contrast == "dark" else image.max() - image.astype(float))
    return separate_particles(mask)


@cache
def network() -> temlib.Segmenter:
    """Give the bundled network."""
    return temlib.load_segmenter("synthetic", runtime="auto")


def told(*names: str, **fixed: str):
    """Give a way to find particles with the network, told some of what is true."""

    def find(image: np.ndarray, **truth) -> np.ndarray:
        return network().particles(image, **{name: truth[name] for name in names}, **fixed)

    return find


WAYS = {
    "difference of Gaussians": difference_of_gaussians,
    "Otsu": otsu,
    "network": told(),
    "network, contrast": told("contrast"),
    "network, diameter": told("diameter_px"),
    "network, diameter, auto": told("diameter_px", contrast="auto"),
    "network, diameter, contrast": told("diameter_px", "contrast"),
}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give mean and median F1 of each way."""
    return table.groupby("way", sort=False)["f1"].agg(["mean", "median"]).round(3)


if __name__ == "__main__":
    main()
