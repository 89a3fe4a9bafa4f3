"""Growth: diameters against time, their power law, how often particles come and go, and how they move."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import ndimage, stats

from temlib.drawing import FONT_PT, SMALL_PT
from temlib.palette import COLOURS, SERIES
from temlib.particles.frame_correction import require
from temlib.particles.power_laws import PowerLaw, fit_power_law
from temlib.particles.size_distribution import Estimate

__all__ = ["GrowthCurves", "growth_curves", "mean_squared_displacement"]

_NEEDED = ("track", "frame", "time_s", "event", "partner", "touches_edge")
_COMPARED = {"1/3": 1 / 3, "1/2": 1 / 2}
_DRAWN = 60  # curves in the figure
_AROUND = 5  # frames of which the median is taken, to see where a particle turns or jumps
_CLEAR, _TURN = 6.0, 0.05  # of the noise, and of the mean diameter: a change beyond both


@dataclass(frozen=True)
class GrowthCurves:
    """How the particles of a movie grow and move.

    Attributes
    ----------
    exponent : Estimate
        Of the power law d = k (t - t0)^p that all particles share, each with its own k and t0.
    table : DataFrame
        A row for each piece of a track: ``track``, ``piece``, ``first_frame``, ``last_frame``, ``frames``, ``begin``
        and ``end`` (fitted diameters), ``rate`` (their mean change in a unit of time), ``exponent``, ``low``, ``high``.
    curves : DataFrame
        ``track``, ``piece``, ``frame``, ``time``, ``diameter``, and ``fitted`` with ``low`` and ``high``, between
        which lie 95 %, or what was asked for, of diameters.
    rates : DataFrame
        ``event``, ``count``, ``rate`` in a unit of time, ``low``, ``high`` (exact, of the Poisson distribution).
    displacement : DataFrame
        ``lag`` (time), ``msd`` (mean squared displacement), ``steps`` (of how many).
    diffusion : Estimate
        Constant of diffusion in the plane, in squared lengths in a unit of time; without what noise of the outlines
        adds.
    length, time : str
        The units: nm or px, s or frame.
    """

    exponent: Estimate
    table: pd.DataFrame
    curves: pd.DataFrame
    rates: pd.DataFrame
    displacement: pd.DataFrame
    diffusion: Estimate
    length: str
    time: str

    def plot(self) -> Figure:
        """Draw diameters and displacement against time; with exponents of 1/3 and 1/2 to compare with."""
        figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
        for number, (_, rows) in enumerate(self.curves.groupby(["track", "piece"])):
            if number < _DRAWN:
                left.plot(rows["time"], rows["diameter"], ".", color=COLOURS["quiet"], markersize=1.5)
                left.plot(rows["time"], rows["fitted"], color=COLOURS["found"], linewidth=0.8)
        self._compare(left)
        left.set_xlabel(f"time [{self.time}]", fontsize=FONT_PT)
        left.set_ylabel(f"equivalent diameter [{self.length}]", fontsize=FONT_PT)
        says = f"exponent {self.exponent.value:.3f} ({self.exponent.low:.3f} to {self.exponent.high:.3f})"
        left.set_title(says, fontsize=FONT_PT)
        seen = self.displacement[self.displacement["msd"] > 0]  # what never moves has no logarithm
        (right.loglog if len(seen) else right.plot)(seen["lag"], seen["msd"], "o", color=COLOURS["found"], markersize=3)
        if self.diffusion.value > 0:
            expected = 4 * self.diffusion.value * seen["lag"]
            right.loglog(seen["lag"], expected, color=COLOURS["quiet"], linewidth=0.8)
            right.set_title(f"D = {self.diffusion.value:.3g} {self.length}²/{self.time}", fontsize=FONT_PT)
        right.set_xlabel(f"lag [{self.time}]", fontsize=FONT_PT)
        right.set_ylabel(f"mean squared displacement [{self.length}²]", fontsize=FONT_PT)
        for axes in (left, right):
            axes.tick_params(which="both", labelsize=SMALL_PT)
        plt.close(figure)
        return figure

    def _compare(self, axes: plt.Axes) -> None:
        """Draw what other exponents make of the longest curve between its ends."""
        if self.table.empty:
            return
        longest = self.table.sort_values("frames").iloc[-1]
        some = (self.curves["track"] == longest["track"]) & (self.curves["piece"] == longest["piece"])
        time = self.curves.loc[some, "time"].to_numpy()
        part = (time - time[0]) / (time[-1] - time[0])
        for (name, power), colour, dashes in zip(_COMPARED.items(), SERIES[1:], ("--", ":"), strict=False):
            ends = longest["begin"] ** (1 / power), longest["end"] ** (1 / power)
            curve = (ends[0] + (ends[1] - ends[0]) * part) ** power
            axes.plot(time, curve, dashes, color=colour, linewidth=1, label=name)
        axes.legend(fontsize=SMALL_PT, frameon=False)


def growth_curves(
    tracks: pd.DataFrame, *, frames: int | None = None, fewest: int = 10, confidence: float = 0.95
) -> GrowthCurves:
    """Fit the growth of tracked particles, count what happens to them, and measure how they move.

    A track is cut into pieces where a particle merges into it or splits from it, where it turns from growing to
    shrinking or jumps, and where the frame cuts its particle. Times are frames where the time is unknown.

    Parameters
    ----------
    tracks : DataFrame
        What :func:`temlib.track_particles` gave.
    frames : int, optional
        Of the movie: events are counted in the time from its first frame to its last. Without it, empty frames
        at its beginning and end do not count, and rates come out too high.
    fewest : int
        Frames that a piece must have, 4 or more; shorter ones tell nothing of growth.
    confidence : float
        Of the intervals, in (0, 1).

    Raises
    ------
    ValueError
        When the table lacks a column, or a number is out of range.
    """
    unit = "nm" if "equivalent_diameter_nm" in tracks else "px"
    require(tracks, (*_NEEDED, f"equivalent_diameter_{unit}", f"y_{unit}"), "track_particles")
    if fewest < 4 or not 0 < confidence < 1:
        raise ValueError(f"fewest={fewest} and confidence={confidence}: pass 4 or more, and one in (0, 1)")
    last = int(tracks["frame"].max()) if len(tracks) else 0
    if frames is not None and frames <= last:
        raise ValueError(f"frames={frames}, but the tracks reach frame {last}, counted from 0; pass those of the movie")
    timed = bool(len(tracks)) and bool(tracks["time_s"].notna().all())
    table = tracks.assign(time=tracks["time_s"] if timed else tracks["frame"].astype(float))
    table["event"] = table["event"].astype(object).fillna("").astype(str)  # of a csv file that was read
    table = table.rename(columns={f"equivalent_diameter_{unit}": "diameter", f"y_{unit}": "y", f"x_{unit}": "x"})
    pieces = [rows for rows in _pieces(table) if len(rows) >= fewest and np.ptp(rows["time"]) > 0]
    curves = [(rows["time"].to_numpy(), rows["diameter"].to_numpy()) for rows in pieces]
    law = fit_power_law(curves, confidence) if curves else PowerLaw(np.nan, np.nan, np.nan, [], [])
    names = ["track", "piece", "frame", "time", "diameter", "fitted", "low", "high"]
    rows = [_summary(*each, confidence) for each in zip(pieces, law.fitted, strict=True)]
    drawn = [_curve(*each, confidence) for each in zip(pieces, law.fitted, law.spread, strict=True)]
    return GrowthCurves(
        exponent=Estimate(law.exponent, law.low, law.high),
        table=pd.DataFrame(rows, columns=_TABLE),
        curves=pd.concat(drawn)[names] if drawn else pd.DataFrame(columns=names),
        rates=_rates(table, _duration(table, frames, timed), confidence),
        displacement=mean_squared_displacement(pieces),
        diffusion=_diffusion(pieces, confidence),
        length=unit,
        time="s" if timed else "frame",
    )


_TABLE = ["track", "piece", "first_frame", "last_frame", "frames", "begin", "end", "rate", "exponent", "low", "high"]


def _pieces(table: pd.DataFrame) -> list[pd.DataFrame]:
    """Cut tracks where they take in or give off another, turn or jump, and leave out what the frame cuts."""
    merging = table["event"].str.contains("merges into")
    parting = table["event"].str.contains("splits from")
    cuts: dict[int, list[float]] = {}
    for row in table.loc[merging | parting, ["frame", "partner", "event"]].itertuples():
        cuts.setdefault(int(row.partner), []).append(row.frame + (0.5 if "merges into" in row.event else -0.5))
    pieces = []
    for track, rows in table.sort_values("frame").groupby("track"):
        number = np.searchsorted(np.sort(cuts.get(track, [])), rows["frame"])
        cut = rows["touches_edge"].astype(bool).to_numpy()
        number = number + np.cumsum(np.diff(cut, prepend=cut[0]))
        parts = []
        for _, some in rows[~cut].groupby(number[~cut]):
            ends = [0, *_breaks(some["diameter"].to_numpy()), len(some)]
            parts += [some.iloc[first:last] for first, last in pairwise(ends)]
        pieces += [part.assign(piece=count) for count, part in enumerate(parts, start=1)]
    return pieces


def _breaks(diameter: np.ndarray) -> list[int]:
    """Find where a particle turns from growing to shrinking or back, or jumps as by an unnoticed merger."""
    if len(diameter) < _AROUND:
        return []
    smooth = ndimage.median_filter(diameter, _AROUND, mode="nearest")
    noise = 1.4826 * float(np.median(np.abs(diameter - smooth)))
    least = max(_CLEAR * noise, _TURN * float(smooth.mean()))
    breaks = set()
    for sign in (1, -1):
        at = int((sign * smooth).argmax())
        if sign * (smooth[at] - smooth[0]) > least and sign * (smooth[at] - smooth[-1]) > least:
            breaks.add(at)
    steps = np.diff(smooth)
    beyond = np.abs(steps - ndimage.median_filter(steps, _AROUND, mode="nearest"))
    breaks |= set((np.flatnonzero(beyond > least) + 1).tolist())
    return sorted(breaks)


def _summary(rows: pd.DataFrame, fitted: np.ndarray, confidence: float) -> dict[str, float]:
    time, diameter = rows["time"].to_numpy(), rows["diameter"].to_numpy()
    own = fit_power_law([(time, diameter)], confidence)
    of_track = {"track": rows["track"].iloc[0], "piece": rows["piece"].iloc[0]}
    of_track |= {"first_frame": rows["frame"].iloc[0], "last_frame": rows["frame"].iloc[-1], "frames": len(rows)}
    of_track |= {"begin": fitted[0], "end": fitted[-1], "rate": (fitted[-1] - fitted[0]) / np.ptp(time)}
    return of_track | {"exponent": own.exponent, "low": own.low, "high": own.high}


def _curve(rows: pd.DataFrame, fitted: np.ndarray, spread: float, confidence: float) -> pd.DataFrame:
    half = stats.t.ppf((1 + confidence) / 2, max(len(rows) - 3, 1)) * spread
    return rows.assign(fitted=fitted, low=fitted - half, high=fitted + half)


def _duration(table: pd.DataFrame, frames: int | None, timed: bool) -> float:
    """Give the time from the first frame to the last: of the movie, or of those with a particle; 0 where unknown."""
    seen = (float(np.ptp(table["time"])), int(np.ptp(table["frame"]))) if len(table) else (0.0, 0)
    if frames is None:
        return seen[0]
    if not timed:
        return frames - 1.0
    return (frames - 1) * seen[0] / seen[1] if seen[1] else 0.0


def _rates(table: pd.DataFrame, long: float, confidence: float) -> pd.DataFrame:
    """Count events in so long a time."""
    rows = []
    for event in ("appears", "splits from", "leaves", "merges into", "dissolves"):
        n = int(table["event"].str.contains(event).sum())
        low = stats.chi2.ppf((1 - confidence) / 2, 2 * n) / 2 if n else 0.0
        bounds = np.array([n, low, stats.chi2.ppf((1 + confidence) / 2, 2 * n + 2) / 2])
        rate, low, high = (bounds / long).tolist() if long else (np.nan, np.nan, np.nan)
        rows.append({"event": event, "count": n, "rate": rate, "low": low, "high": high})
    return pd.DataFrame(rows)


def mean_squared_displacement(pieces: list[pd.DataFrame]) -> pd.DataFrame:
    """Give the mean squared displacement at each lag up to a quarter of the longest piece, over all starts.

    Parameters
    ----------
    pieces : list of DataFrame
        Of tracks, with ``frame``, ``time``, and ``y`` and ``x`` without drift.
    """
    rows = []
    longest = max((int(np.ptp(piece["frame"])) for piece in pieces), default=0)
    step = next((float(np.diff(p["time"])[0] / np.diff(p["frame"])[0]) for p in pieces if len(p) > 1), 1.0)
    tables = [piece.set_index("frame")[["y", "x"]] for piece in pieces]
    for lag in range(1, max(longest // 4, 1) + 1):
        moved = [(t - t.set_axis(t.index + lag).reindex(t.index)).dropna().to_numpy() for t in tables]
        squared = np.concatenate([(m**2).sum(axis=1) for m in moved]) if moved else np.zeros(0)
        if len(squared):
            rows.append({"lag": lag * step, "msd": squared.mean(), "steps": len(squared)})
    return pd.DataFrame(rows, columns=["lag", "msd", "steps"])


def _diffusion(pieces: list[pd.DataFrame], confidence: float) -> Estimate:
    """Estimate D from steps and their covariance with the next (Vestergaard et al., Phys. Rev. E 89 (2014) 022726).

    Pieces are what is independent: the interval is Student's of their means, weighted by their steps.
    """
    values, weights = [], []
    for piece in pieces:
        at, frame, time = piece[["y", "x"]].to_numpy(), piece["frame"].to_numpy(), piece["time"].to_numpy()
        steps, seconds = np.diff(at, axis=0), np.diff(time)
        plain = np.diff(frame) == 1
        both = plain[1:] & plain[:-1]
        if both.sum() < 2:
            continue
        squared = (steps[plain] ** 2).mean() / 2 + (steps[1:] * steps[:-1])[both].mean()
        values.append(squared / seconds[plain].mean())
        weights.append(plain.sum())
    if not values:
        return Estimate(np.nan, np.nan, np.nan)
    share = np.array(weights) / np.sum(weights)
    mean = float(share @ values)
    if len(values) < 2:
        return Estimate(mean, np.nan, np.nan)
    n = len(values)
    error = np.sqrt((share**2 @ (np.array(values) - mean) ** 2) * n / (n - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1) * error)
    return Estimate(mean, mean - half, mean + half)
