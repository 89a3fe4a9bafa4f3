"""Are particles on supports missed, or are their boxes not exact? F1 of boxes by how much a pair must overlap.

The default network, told the median diameter and the contrast, on the twelve micrographs of ``supported.py``: of the
boxes found and drawn, the pairs whose IoU is at least 0.1, 0.3, 0.5 (as F1 of boxes is meant elsewhere) and 0.7;
and the F1 of boxes one pixel wider on each side than what is found, since people draw around a particle.

Needs TEMLIB_DATA with the folder ``supported``; a minute on two cores. Writes temlib/data/measured/boxes.csv, a row for
each micrograph and overlap.

    python -m tests.benchmarks.boxes
"""

import numpy as np
import pandas as pd

import temlib
from temlib.reproduction.run_folder import MEASURED
from temlib.writing import write_table
from tests.benchmarks import supported

TABLE = MEASURED / "boxes.csv"
OVERLAPS = (0.1, 0.3, 0.5, 0.7)
OUTWARDS = np.array([-1, -1, 1, 1])


def main() -> None:
    """Pair the boxes of all micrographs, and print the table."""
    segmenter, rows = temlib.load_segmenter(), []
    for image, drawn, name in supported.micrographs():
        told = {"diameter_px": float(np.median(supported.diameters(drawn)))}
        contrast = "dark" if name in supported.DARK else "bright"
        found = supported.boxes_of(segmenter.particles(image, contrast=contrast, **told))
        for least in OVERLAPS:
            f1, wider = (supported.box_f1(found + margin * OUTWARDS, drawn, least) for margin in (0, 1))
            row = {"name": name, "drawn": len(drawn), "found": len(found), "overlap": least}
            rows.append(row | {"f1": f1, "f1_wider": wider})
    table = pd.DataFrame(rows)
    write_table(TABLE, table, "%.4f")
    print("\n".join(lines(table)))


def lines(table: pd.DataFrame) -> list[str]:
    """Give the rows of the table in ``docs/evidence.md``: F1, and the share of boxes that have a partner."""
    rows = []
    for least, some in table.groupby("overlap"):
        pairs = some["f1"] * (some["drawn"] + some["found"]) / 2
        shares = [(pairs / some[which]).mean() for which in ("drawn", "found")]
        rows.append(
            f"| {least} | {some['f1'].mean():.2f} | {' | '.join(f'{share:.0%}' for share in shares)} "
            f"| {some['f1_wider'].mean():.2f} |"
        )
    return [row.replace("%", " %") for row in rows]


if __name__ == "__main__":
    main()
