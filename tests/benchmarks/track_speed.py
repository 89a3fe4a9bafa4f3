"""How long does it take to follow the particles of a long movie, and how much memory?

A movie of 512 x 512 frames (12-bit counts in 16, chunks of 32 frames) with 50 discs that diffuse on a drifting stage,
and its numbered frames. ``temlib.jobs.tracks.track_movie`` follows them, each time in a process of its own: with the
movie (``drift`` 1), or without (0). A row each:

- ``ms``: processor time a frame, of all of it, from reading a chunk to writing its rows;
- ``peak_mb``: memory at the most; ``row_bytes``: of the table, for a frame; ``particles_bytes``: of its numbers;
- ``segment_ms``, ``segment_one_ms``: processor time a frame of finding the particles of the same movie with the bundled
  network, as ``temlib segment --particles`` does it, and with ``scale=1.0`` (eight frames; the runtime that is there).

Milliseconds are of a machine that may be shared. Writes track_speed.csv in temlib/data/measured.

    python -m tests.benchmarks.track_speed
"""

import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd

from temlib import load_micrograph, load_segmenter
from temlib.files.micrographs import micrograph
from temlib.jobs.tracks import track_movie
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.movies import peak, size

EDGE, CHUNK, PARTICLES = 512, 32, 50
SEGMENTED = 8
LENGTHS = (64, 256)
TIME = {"name": "time", "scale": 0.1, "units": "s"}


def main() -> None:
    """Run the benchmark, write and print its table."""
    if len(sys.argv) > 1:
        folder, frames, what = json.loads(sys.argv[1])
        do = {"make": make_movie, "segment": segment}
        print(json.dumps(do[what](Path(folder), frames) if what in do else measure(folder, frames, what)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for frames in LENGTHS:
            apart(folder, frames, "make")  # what this process has held counts as held by its children
            segmenting = apart(folder, frames, "segment")
            for drift in (0, 1):
                rows.append({"frames": frames, "drift": drift} | apart(folder, frames, drift) | segmenting)
                print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(MEASURED / "track_speed.csv", index=False, float_format="%.4g")


def apart(*arguments: object) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.track_speed", json.dumps(arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr[-2000:])
    return json.loads(result.stdout.splitlines()[-1])


def make_movie(folder: Path, frames: int) -> None:
    """Write a movie and its numbered frames, chunk by chunk."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(8) * 60 + 45] * 2), axis=-1).reshape(-1, 2)[:PARTICLES]
    at = grid + rng.normal(0, 0.5, (frames, PARTICLES, 2)).cumsum(axis=0) * 0.3
    film = rng.normal(0, 1, (EDGE, EDGE))
    labels = np.zeros((frames, EDGE, EDGE), np.int32)
    images = np.zeros((frames, EDGE, EDGE), np.uint16)
    y, x = np.mgrid[:EDGE, :EDGE]
    for frame in range(frames):
        for number in range(PARTICLES):
            cy, cx = np.rint(at[frame, number]).astype(int)
            box = slice(max(cy - 20, 0), cy + 20), slice(max(cx - 20, 0), cx + 20)
            labels[frame][box][np.hypot(y[box] - cy, x[box] - cx) < 12 + number % 7] = number + 1
        mean = 900 + 60 * np.roll(film, (frame // 8, -frame // 5), (0, 1))
        images[frame] = np.minimum(rng.poisson(np.where(labels[frame], 0.7 * mean, mean)), 4095)
    for name, data in (("particles", labels), ("movie", images)):
        signal = micrograph(da.from_array(data, chunks=(CHUNK, EDGE, EDGE)), 0.5, name, [TIME])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            signal.save(folder / f"{name}{frames}.zspy", show_progressbar=False)


def segment(folder: Path, frames: int) -> dict[str, float]:
    """Find the particles of some frames; give what is measured of it."""
    segmenter = load_segmenter("synthetic", runtime="auto")
    images = load_micrograph(folder / f"movie{frames}.zspy", lazy=True)
    some, measured = images.data[:SEGMENTED].compute(), {}
    for name, scale in (("segment_ms", "auto"), ("segment_one_ms", 1.0)):
        segmenter.particles(some[0], scale=scale)  # starts the network
        start = time.process_time()
        for image in some:
            segmenter.particles(image, scale=scale)
        measured[name] = 1e3 * (time.process_time() - start) / len(some)
    return measured


def measure(folder: str, frames: int, drift: int) -> dict[str, float]:
    """Follow the particles; give what is measured of it."""
    particles, movie = (Path(folder) / f"{name}{frames}.zspy" for name in ("particles", "movie"))
    out, start = Path(folder) / f"{frames}-{drift}.csv", time.process_time()
    track_movie(particles, out, movie if drift else None, progress=False)
    spent = time.process_time() - start
    measured = {"ms": 1e3 * spent / frames, "peak_mb": peak()}
    return measured | {"row_bytes": out.stat().st_size / frames, "particles_bytes": size(particles) / frames}


if __name__ == "__main__":
    main()
