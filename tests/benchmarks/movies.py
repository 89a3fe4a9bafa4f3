"""How many frames a second does a movie take, and how much of that is not the network?

A movie of 512 x 512 frames (12-bit counts in 16, chunks of 8 frames) is segmented by the bundled
network with ``scale="auto"``. Each row is a run in processes of its own:

- ``workers`` 0: in one process, as ``temlib segment`` does it. ``overhead_percent`` is the processor
  time of all of it, from reading a chunk to writing its mask, beyond that of the network's calls in the same run;
- ``workers`` 1, 2: on workers of dask.distributed with one core each, after a movie of two chunks,
  which took ``start_s``: workers import TensorFlow and load the network. ``peak_mb`` is of the largest.

Also bytes a frame takes on the disk before (``movie``) and after (``mask``), bytes that a worker is
sent once (``segmenter``), and how many empty tasks a second the scheduler hands out (``tasks_per_s``).
Seconds are of a machine that may be shared; ratios within one run are what counts.
Writes movies.csv in temlib/data/measured.

    python -m tests.benchmarks.movies
"""

import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from temlib import load_segmenter
from temlib.files.micrographs import micrograph
from temlib.jobs import movies
from temlib.jobs.movies import segment_movie
from temlib.reproduction.run_folder import MEASURED

FRAMES, EDGE, CHUNK = 128, 512, 8


def main() -> None:
    """Run the benchmark, write and print its table."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(*json.loads(sys.argv[1]))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        make_movie(Path(folder) / "movie.zspy", FRAMES)
        make_movie(Path(folder) / "short.zspy", 2 * CHUNK)
        for runtime in ("keras", "openvino"):
            for workers in (0, 1, 2):
                rows.append({"runtime": runtime, "workers": workers} | apart(folder, runtime, workers))
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(MEASURED / "movies.csv", index=False, float_format="%.4g")
    print(table.to_string())


def apart(*arguments: object) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.movies", json.dumps(arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr[-2000:])
    return json.loads(result.stdout.splitlines()[-1])


def make_movie(path: Path, n: int) -> None:
    """Write a movie of drifting dark discs, with shot noise."""
    import dask.array as da

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:EDGE, :EDGE]
    frames = []
    for i in range(n):
        mean = np.full((EDGE, EDGE), 900.0)
        for centre, radius in zip(np.random.default_rng(1).uniform(0, EDGE, (25, 2)), np.linspace(12, 40, 25)):
            mean[np.hypot(y - centre[0] - i / 8, x - centre[1] - i / 5) < radius] *= 0.7
        frames.append(np.minimum(rng.poisson(mean), 4095).astype(np.uint16))
    data = da.from_array(np.stack(frames), chunks=(CHUNK, EDGE, EDGE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        time_axis = {"name": "time", "scale": 0.1, "units": "s"}
        micrograph(data, 0.5, "drifting discs", [time_axis]).save(path, show_progressbar=False)


def measure(folder: str, runtime: str, workers: int) -> dict[str, float]:
    """Segment the movie; give what is measured of it."""
    movies._PIXELS = 1  # chunks as they are in the file
    movie, out = Path(folder) / "movie.zspy", Path(folder) / f"{runtime}-{workers}.zspy"
    segmenter = load_segmenter("synthetic", runtime=runtime)
    found = on_workers(movie, out, segmenter, workers) if workers else in_this_process(movie, out, segmenter)
    found |= {"movie": size(movie) / FRAMES, "mask": size(out) / FRAMES}
    return found | {"segmenter": len(pickle.dumps(segmenter.parcel()))}


def in_this_process(movie: Path, out: Path, segmenter: object) -> dict[str, float]:
    """Count the processor time of the network's calls within that of the whole."""
    segmenter.maps(np.random.default_rng(0).normal(size=(EDGE, EDGE)))  # starts the network
    network, inside = segmenter._network.network, [0.0, 0.0]

    def counted(images: np.ndarray) -> np.ndarray:
        before = time.process_time(), time.perf_counter()
        result = network(images)
        inside[0] += time.process_time() - before[0]
        inside[1] += time.perf_counter() - before[1]
        return result

    segmenter._network.network = counted
    start = time.process_time(), time.perf_counter()
    segment_movie(movie, out, segmenter, progress=False)
    processor, seconds = time.process_time() - start[0], time.perf_counter() - start[1]
    return {
        "frames_per_s": FRAMES / seconds,
        "network_ms": 1e3 * inside[0] / FRAMES,
        "overhead_percent": 100 * (processor / inside[0] - 1),
        "overhead_percent_of_seconds": 100 * (seconds / inside[1] - 1),
        "peak_mb": peak(),
    }


def on_workers(movie: Path, out: Path, segmenter: object, workers: int) -> dict[str, float]:
    """Let workers of one core each do it."""
    import distributed

    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        seconds = []
        for name in ("short.zspy", "movie.zspy"):
            start, to = time.perf_counter(), out.with_name(f"{out.stem}-{name}")
            segment_movie(movie.with_name(name), to, segmenter, scheduler=cluster.scheduler_address, progress=False)
            seconds.append(time.perf_counter() - start)
        to.rename(out)
        megabytes = max(client.run(peak).values())
        begin = time.perf_counter()
        client.gather(client.map(int, range(2000), pure=False))
        tasks = 2000 / (time.perf_counter() - begin)
    measured = {"frames_per_s": FRAMES / seconds[1], "start_s": seconds[0], "peak_mb": megabytes}
    return measured | {"tasks_per_s": tasks}


def peak() -> float:
    """Largest memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def size(folder: Path) -> float:
    """Bytes of all files in a folder."""
    return float(sum(os.path.getsize(path) for path in folder.rglob("*") if path.is_file()))


if __name__ == "__main__":
    main()
