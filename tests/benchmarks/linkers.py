"""Is a well-kept library as good at linking as temlib? laptrack and trackpy on the first ten movies of ``tracking.py``.

All get the same particles in the same frames (the true masks, numbered anew in each frame; and what the default network
finds), their places with temlib's drift taken out, gaps of two frames, and the median diameter as the farthest step.
temlib's own linking (:mod:`temlib.particles.linking`) also compares outlines and sizes, for which trackpy has no place
and laptrack a metric of one's own. HOTA, AssA, and the processor time of linking alone; that of temlib is of all that
:func:`temlib.track_particles` does without the drift. Events are not compared: trackpy has none.

Needs ``pip install laptrack trackpy``. Writes linkers.csv in temlib/data/measured; a rerun goes on.

    python -m tests.benchmarks.linkers
"""

import time

import numpy as np
import pandas as pd

from temlib import load_segmenter, track_particles
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results
from tests.benchmarks.tracking import as_tracks, hota, make_movie, segmented, shuffled

MOVIES, GAP = 10, 2


def main() -> None:
    """Run the benchmark, write and print its table."""
    results = Results(MEASURED / "linkers.csv", ("movie", "source", "linker"), "%.4g")
    segmenter = load_segmenter("labelled", runtime="auto")
    for number in range(MOVIES):
        for source in ("truth", "network"):
            if results.has(number, source, "trackpy"):
                continue
            made = make_movie(number)
            images, truth = made.image.data.compute(), made.labels.data.compute()
            found = shuffled(truth, number) if source == "truth" else segmented(segmenter, images, "auto")[0]
            for linker, row in compare(made.scene.pixel_size_nm, images, truth, found):
                results.add([{"movie": number, "source": source, "linker": linker} | row])
    print(summary(results.table))


def compare(pixel: float, images: np.ndarray, truth: np.ndarray, found: np.ndarray):
    """Yield the scores of each way to link the same particles."""
    begin = time.process_time()
    track_particles(found, pixel_size_nm=pixel)
    ours = time.process_time() - begin
    tracks = track_particles(found, images, pixel_size_nm=pixel)
    reach = float(tracks["equivalent_diameter_nm"].median())
    for linker, link in {"temlib": None, "laptrack": by_laptrack, "trackpy": by_trackpy}.items():
        begin = time.process_time()
        numbers = tracks["track"] if link is None else link(tracks[["frame", "y_nm", "x_nm"]].copy(), reach)
        seconds = ours if link is None else time.process_time() - begin
        scores = hota(truth, as_tracks(found, tracks.assign(track=np.asarray(numbers))))
        yield linker, {"hota": scores["hota"], "association": scores["association"], "ms": 1e3 * seconds / len(found)}


def by_laptrack(places: pd.DataFrame, reach: float) -> np.ndarray:
    """Number tracks from 1 as laptrack links places; reach in the unit of places."""
    from laptrack import LapTrack

    tracker = LapTrack(cutoff=reach**2, gap_closing_cutoff=reach**2, gap_closing_max_frame_count=GAP)
    linked, _, _ = tracker.predict_dataframe(
        places.assign(row=np.arange(len(places))), ["y_nm", "x_nm"], only_coordinate_cols=False
    )
    return linked.sort_values("row")["track_id"].to_numpy() + 1


def by_trackpy(places: pd.DataFrame, reach: float) -> np.ndarray:
    """Number tracks from 1 as trackpy links places."""
    import trackpy

    trackpy.quiet()
    linked = trackpy.link(
        places.assign(row=np.arange(len(places))), reach, pos_columns=["y_nm", "x_nm"], t_column="frame", memory=GAP
    )
    return linked.sort_values("row")["particle"].to_numpy() + 1


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give means over movies."""
    return table.groupby(["source", "linker"], sort=False)[["hota", "association", "ms"]].mean().round(3)


if __name__ == "__main__":
    main()
