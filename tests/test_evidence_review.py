"""What is said of reviews in prose is what the committed table says."""

from pathlib import Path

import pandas as pd

from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks import review, review_speed

EVIDENCE = Path(__file__).resolve().parents[1] / "docs" / "evidence.md"


def test_what_a_review_buys_is_what_was_measured():
    evidence = " ".join(EVIDENCE.read_text().split())
    table = pd.read_csv(MEASURED / "review.csv", dtype={"name": str})
    assert table["name"].nunique() == 10
    assert table["clicks"].max() <= 20
    row = review.summary(table)
    out, tools = row.loc["out"], row.loc["all tools"]
    assert f"no particle, {out['clicks']:.1f} clicks on average" in evidence
    assert f"F1 from {out['f1_before']:.2f} to {out['f1_after']:.2f};" in evidence
    assert f"it is {tools['f1_after']:.2f} after {tools['clicks']:.1f} clicks" in evidence
    before, after = (out[f"median_error_percent_{when}"] for when in ("before", "after"))
    assert f"of its error is {before:.1f} % before and {after:.1f} % after" in evidence
    assert (table.query("way == 'out'")["clicks"] == 0).sum() == 5, "five of the ten had nothing to correct"
    worse = table.query("way == 'out' and median_error_percent_after > median_error_percent_before + 0.1")
    (one,) = worse.itertuples()
    assert f"from {one.median_error_percent_before:.1f} % to {one.median_error_percent_after:.1f} %." in evidence
    assert table.loc[table["true"] == 1, "clicks"].max() == 20


def test_how_long_one_waits_is_what_was_measured():
    evidence = " ".join(EVIDENCE.read_text().split())
    table = pd.read_csv(MEASURED / "review_speed.csv")
    for particles, edge in review_speed.SIZES.items():
        rows = table.query("particles == @particles and edge_px == @edge")
        assert len(rows) == 8
        least, most = rows["median_ms"].min(), rows["median_ms"].max()
        assert f"{particles:,} particles in {edge} x {edge} pixels: {least:.0f} to {most:.0f} ms" in evidence
        assert f"of which Python took {rows['python_ms'].min():.0f} to {rows['python_ms'].max():.0f} ms" in evidence
    changes = " ".join((EVIDENCE.parents[1] / "CHANGELOG.md").read_text().split())
    assert "With 500 particles it answers in under 0.1 s, with 10,000 in under 0.2 s" in changes
    slowest = table.groupby("particles")["median_ms"].max()
    assert slowest[500] < 100
    assert slowest[10000] < 200
    waits = table.query("particles == 500")["median_ms"]
    assert f"aim of 150 ms was kept by {(waits <= 150).sum()} of the eight" in evidence
    assert (table.query("particles == 10000")["median_ms"] <= 2000).all(), "the prose says so"
