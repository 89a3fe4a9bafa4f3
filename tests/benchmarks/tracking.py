"""How well are particles followed through movies, and their growth measured?

Forty synthetic movies of exact truth (256 x 256 pixels, 40 frames, 20 with the growth exponent 1/3 and 20 with 1/2):
particles nucleate, grow, diffuse, coalesce, and one in ten dissolves; the stage drifts, and two in a hundred frames are
dropped. Each is tracked with its frames, once from the true masks, the labels shuffled in each frame, and once from
what the default network finds in the frames, at the scales that it takes by itself and at one (``scale=1.0``). A row
a movie and a source:

- ``hota``, ``association``, ``detection``: HOTA, AssA and DetA (Luiten et al., Int. J. Comput. Vis. 129 (2021) 548),
  the overlap of masks being the similarity, the mean over its thresholds 0.05 to 0.95;
- ``events_f1``: events of the truth that are found, within two frames and of the right particle;
- ``exponent``, ``low``, ``high`` of :func:`temlib.growth_curves`, beside ``truth``;
- ``diameter_error``: median of the relative error of the diameters of whole particles that are matched;
- ``track_ms``, ``drift_ms``, ``segment_ms``: processor time a frame, of tracking without frames, what the drift takes
  more, and of segmenting.

Writes tracking.csv in temlib/data/measured, row by row; a rerun goes on.

    python -m tests.benchmarks.tracking
"""

import time
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from temlib import Segmenter, load_segmenter, track_particles
from temlib.particles.growth import growth_curves
from temlib.reproduction.run_folder import MEASURED
from temlib.synthetic import Scene, SyntheticMovie, movie
from tests.benchmarks.resumable import Results

MOVIES, FRAMES, EDGE = 40, 40, 256
THRESHOLDS = np.arange(1, 20) / 20
SOURCES = {"truth": "", "network": "auto", "network, one scale": 1.0}
NEAR = 2  # frames between an event and the truth's
_EPS = 1e-10


def main() -> None:
    """Run the benchmark, write and print its table."""
    results = Results(MEASURED / "tracking.csv", ("movie", "source"), "%.5g")
    for source in SOURCES:
        run(results, source, range(MOVIES))
    print(summary(results.table).to_string())


def run(results: Results, source: str, movies: Sequence[int]) -> None:
    """Do what is missing of some movies from one of :data:`SOURCES`."""
    segmenter = None
    for number in movies:
        if results.has(number, source):
            continue
        made = make_movie(number)
        images, truth = made.image.data.compute(), made.labels.data.compute()
        seconds = 0.0
        if source == "truth":
            found = shuffled(truth, number)
        else:
            segmenter = segmenter or load_segmenter("labelled", runtime="auto")
            found, seconds = segmented(segmenter, images, SOURCES[source])
        results.add([{"movie": number, "source": source} | measure(made, images, truth, found, seconds)])
        print(results.table.tail(1).to_string(header=False), flush=True)


def segmented(segmenter: Segmenter, images: np.ndarray, scale: float | str) -> tuple[np.ndarray, float]:
    """Find the particles of each frame that was not dropped; give them, and the processor time that it took."""
    found = np.zeros(images.shape, np.int32)
    segmenter.particles(images[images.any(axis=(1, 2))][0], scale=scale, marks="keep")  # starts the network
    begin = time.process_time()
    for frame in np.flatnonzero(images.any(axis=(1, 2))):
        found[frame] = segmenter.particles(images[frame], scale=scale, marks="keep")
    return found, time.process_time() - begin


def make_movie(number: int) -> SyntheticMovie:
    """Make one of the movies."""
    exponent = (1 / 3, 1 / 2)[number % 2]
    scene = Scene(size_px=EDGE, n_particles=12, diameter_nm=7, diameter_spread=0.2, attenuation_length_nm=20)
    changes = {
        "growth_exponent": exponent,
        "growth_nm": (5.0, 2.5)[number % 2],
        "growth_spread": 0.15,
        "dissolving": 0.1,
    }
    changes |= {
        "diffusion_nm2_s": 0.1,
        "nucleation_per_s": 0.1,
        "nucleus_nm": 3.0,
        "dropped": 0.02,
        "dose_spread": 0.05,
    }
    return movie(scene, FRAMES, 2000 + number, drift_nm_s=(0.2, -0.3), drift_spread_nm=0.15, **changes)


def shuffled(labels: np.ndarray, seed: int) -> np.ndarray:
    """Number the particles of each frame anew."""
    rng = np.random.default_rng(seed)
    return np.stack([np.concatenate([[0], 1 + rng.permutation(labels.max())])[frame] for frame in labels])


def measure(made: SyntheticMovie, images: np.ndarray, truth: np.ndarray, found: np.ndarray, seconds: float) -> dict:
    """Track what was found, and compare."""
    pixel, step = made.scene.pixel_size_nm, made.changes.seconds
    begin = time.process_time()
    track_particles(found, pixel_size_nm=pixel, seconds=step)
    alone = time.process_time()
    tracks = track_particles(found, images, pixel_size_nm=pixel, seconds=step)
    whole = time.process_time()
    tracked = as_tracks(found, tracks)
    scores = hota(truth, tracked)
    growth = growth_curves(tracks).exponent
    scores |= {"events_f1": events_f1(made, truth, tracked, tracks), "truth": made.changes.growth_exponent}
    scores |= {"exponent": growth.value, "low": growth.low, "high": growth.high}
    scores["diameter_error"] = diameter_error(made, truth, tracked, tracks)
    shown = made.frames.loc[tracks["frame"].unique(), ["drift_y_nm", "drift_x_nm"]].to_numpy()
    drift = tracks.groupby("frame")[["drift_y_nm", "drift_x_nm"]].first().to_numpy()
    scores["drift_error_px"] = float(np.sqrt(((drift - shown) ** 2).mean())) / pixel
    each = 1e3 / len(found)
    times = {"track_ms": (alone - begin) * each, "drift_ms": (whole - alone - (alone - begin)) * each}
    return scores | times | {"segment_ms": seconds * each}


def as_tracks(found: np.ndarray, tracks: pd.DataFrame) -> np.ndarray:
    """Write the numbers of tracks into the frames."""
    drawn = np.zeros(found.shape, np.int32)
    for frame, rows in tracks.groupby("frame"):
        table = np.zeros(found[frame].max() + 1, np.int32)
        table[rows["particle"]] = rows["track"]
        drawn[frame] = table[found[frame]]
    return drawn


def overlaps(truth: np.ndarray, found: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Give, of each frame, the numbers in the truth, those found, and the IoU of each pair."""
    for one, other in zip(truth, found, strict=True):
        a, i = np.unique(one, return_inverse=True)
        b, j = np.unique(other, return_inverse=True)
        shared = np.zeros((len(a), len(b)))
        np.add.at(shared, (i.ravel(), j.ravel()), 1)
        union = shared.sum(axis=1)[:, None] + shared.sum(axis=0)[None] - shared
        yield a[a > 0], b[b > 0], (shared / union)[a > 0][:, b > 0]


def hota(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Score tracks, numbered frames of shape (n, height, width), as TrackEval does it.

    At each threshold the pairs of a frame are those of largest alignment score times IoU, with at least the IoU of the
    threshold; AssA is the mean over these of |TPA| / (|TPA| + |FNA| + |FPA|).
    """
    frames = list(overlaps(truth, found))
    n, m = int(truth.max()) + 1, int(found.max()) + 1
    potential, gt, tr = np.zeros((n, m)), np.zeros(n), np.zeros(m)
    for a, b, iou in frames:
        both = iou.sum(axis=0)[None] + iou.sum(axis=1)[:, None] - iou
        potential[np.ix_(a, b)] += np.where(both > _EPS, iou / np.maximum(both, _EPS), 0)
        gt[a] += 1
        tr[b] += 1
    aligned = potential / np.maximum(gt[:, None] + tr[None] - potential, _EPS)
    detection, association = [], []
    for threshold in THRESHOLDS:
        matches, hits = np.zeros((n, m)), 0
        for a, b, iou in frames:
            rows, columns = linear_sum_assignment(-aligned[np.ix_(a, b)] * iou)
            good = iou[rows, columns] >= threshold - _EPS
            np.add.at(matches, (a[rows[good]], b[columns[good]]), 1)
            hits += good.sum()
        missed, false = gt.sum() - hits, tr.sum() - hits
        detection.append(hits / max(hits + missed + false, 1))
        together = matches / np.maximum(gt[:, None] + tr[None] - matches, 1)
        association.append((matches * together).sum() / max(hits, 1))
    both = np.sqrt(np.array(detection) * np.array(association))
    return {
        "hota": float(both.mean()),
        "association": float(np.mean(association)),
        "detection": float(np.mean(detection)),
    }


def partners(truth: np.ndarray, tracked: np.ndarray) -> dict[int, int]:
    """Give each track the particle of the truth that it shows in most frames (IoU of a half or more)."""
    counts: dict[tuple[int, int], int] = {}
    for a, b, iou in overlaps(truth, tracked):
        for row, column in np.argwhere(iou >= 0.5):
            pair = int(b[column]), int(a[row])
            counts[pair] = counts.get(pair, 0) + 1
    best: dict[int, int] = {}
    for (track, particle), _ in sorted(counts.items(), key=lambda item: item[1]):
        best[track] = particle
    return best


def events_f1(made: SyntheticMovie, truth: np.ndarray, tracked: np.ndarray, tracks: pd.DataFrame) -> float:
    """Match events of the same kind and particle within some frames, each once."""
    whose = partners(truth, tracked)
    found = [
        (event, whose.get(int(row.track), -1), row.frame)
        for row in tracks[tracks["event"] != ""].itertuples()
        for event in row.event.split(", ")
    ]
    true = [(row.event, int(row.particle), row.frame) for row in made.events.itertuples()]
    hits, left = 0, list(true)
    for event, particle, frame in found:
        same = [one for one in left if one[:2] == (event, particle) and abs(one[2] - frame) <= NEAR]
        if same:
            left.remove(min(same, key=lambda one: abs(one[2] - frame)))
            hits += 1
    return 2 * hits / max(len(found) + len(true), 1)


def diameter_error(made: SyntheticMovie, truth: np.ndarray, tracked: np.ndarray, tracks: pd.DataFrame) -> float:
    """Give the median relative error of diameters of whole particles that overlap by half or more."""
    true = made.particles.query("whole").set_index(["frame", "particle"])["diameter_nm"]
    measured = tracks.set_index(["frame", "track"])["equivalent_diameter_nm"]
    errors = []
    for frame, (a, b, iou) in enumerate(overlaps(truth, tracked)):
        for row, column in np.argwhere(iou >= 0.5):
            if (frame, a[row]) in true.index:
                errors.append(measured[frame, b[column]] / true[frame, a[row]] - 1)
    return float(np.median(np.abs(errors))) if errors else np.nan


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give means over movies; of the exponent the bias, and how often its interval holds the truth."""
    bias = table["exponent"] - table["truth"]
    holds = (table["low"] <= table["truth"]) & (table["truth"] <= table["high"])
    columns = ["hota", "association", "detection", "events_f1", "diameter_error", "drift_error_px"]
    columns += ["track_ms", "drift_ms", "segment_ms"]
    return table.assign(bias=bias, holds=holds).groupby("source")[[*columns, "bias", "holds"]].mean()


if __name__ == "__main__":
    main()
