"""How long does an explorer take from a moved slider to its new picture?

Each explorer at 256 x 256 pixels, every one of its controls at both ends: milliseconds of wall time
for a picture as png: the median, the median in the slowest state, and the slowest of all, in which
Python may have collected its garbage. What a browser needs to show it is not in it.
Seconds are of a machine that may be shared. Writes explorers.csv in temlib/data/measured.

    python -m tests.benchmarks.explorers
"""

import time
from unittest.mock import patch

import numpy as np
import pandas as pd

from temlib import load_segmenter
from temlib.datasets import Annotated
from temlib.network.unet import encoder
from temlib.reproduction.run_folder import MEASURED
from temlib.synthetic import Scene, simulate
from temlib.widgets import explorers

EDGE, REPEATS = 256, 3


def main() -> None:
    """Run the benchmark, write and print its table."""
    rows = []
    for name, arguments in calls().items():
        shown: list[explorers.Explorer] = []
        with patch.object(explorers.Explorer, "show", lambda explorer, shown=shown: shown.append(explorer)):
            getattr(explorers, name)(*arguments)
        seconds = steps(shown[0])
        rows.append(
            {
                "explorer": name,
                "median_ms": 1000 * np.median(seconds),
                "slowest_state_ms": 1000 * np.median(seconds, axis=0).max(),
                "slowest_ms": 1000 * np.max(seconds),
            }
        )
    table = pd.DataFrame(rows)
    table.to_csv(MEASURED / "explorers.csv", index=False, float_format="%.0f")
    print(table.round().to_string(index=False))


def calls() -> dict[str, tuple]:
    """Give each explorer's arguments."""
    made = simulate(Scene(size_px=EDGE, n_particles=12, clustering=0.3), 0)
    maps = load_segmenter("synthetic").maps(made.image)
    truth = Annotated("synthetic", made.image, made.labels)
    return {
        "explore_scene": (made.scene,),
        "explore_dose_and_defocus": (made.scene,),
        "explore_threshold": (made.image, maps),
        "explore_features": (made.image, encoder(None)),
        "explore_masks": ([truth] * 2, [made.mask] * 2, [maps[..., 0]] * 2),
        "explore_iou": (),
    }


def steps(explorer: explorers.Explorer) -> np.ndarray:
    """Time the picture after each move of one control, the first picture apart: a row for each repetition."""
    moves = [
        {name: end}
        for name, control in explorer.controls.items()
        for end in (control.options if isinstance(control, explorers.Choice) else (control.low, control.high))
    ]
    explorer.picture()
    seconds = []
    for move in moves * REPEATS:
        start = time.perf_counter()
        explorer.picture(**move)
        seconds.append(time.perf_counter() - start)
    return np.reshape(seconds, (REPEATS, len(moves)))


if __name__ == "__main__":
    main()
