"""Review: a person looks at every particle that was found before it counts.

A review holds what was found, everything that was done to it in order, and what comes of it: particles are taken out
and back, removed, split, merged and added, and filtered by any number that was measured. Whatever is done can be
undone, saved as JSON, and done again by a script, also to particles that were found anew: they are known by overlap.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.measure import label, points_in_poly

from temlib.errors import MicrographError, one_line
from temlib.files.json_files import parse_json, read_bytes
from temlib.files.micrographs import as_array, pixel_size_of
from temlib.particles.boxes import Box, around, moved
from temlib.particles.edits import Edit, Region, check_points, edits_from, pieces_of, to_plain
from temlib.particles.measurement import measure_particles
from temlib.particles.placing import Found
from temlib.particles.size_distribution import SizeDistribution, size_distribution
from temlib.writing import write_text

__all__ = ["FATES", "LARGEST_FILE", "NO_PARTICLES", "REVIEW", "Review", "apply_review", "filter_columns", "reviews_in"]

FATES = ("counted", "cut by the frame", "left out by a filter", "left out by hand")
"""What becomes of a particle."""

REVIEW = "_review.json"
"""What is added to the name of a micrograph for the file of its review."""

LARGEST_FILE = 2**28
"""Bytes of a file of decisions, at the most."""

NO_PARTICLES = "there are no particles to look at; take another threshold, or add some by painting labels"
"""What is said of a micrograph without any."""

_KIND, _LARGEST_NUMBER = "review of particles, 1", 10**7
_LISTS = ("edits", "undone", "unmatched")
_RING_PX = 16  # around a particle, in which its background and outline are looked for
_PLACES = (("centroid_y_px", "top_px", "bottom_px"), ("centroid_x_px", "left_px", "right_px"))
_NO_FILTER = ("particle", "frame_height_px", "frame_width_px", "pixel_height_nm", "pixel_width_nm")
_FIRST_FILTERS = ("equivalent_diameter", "aspect_ratio", "circularity", "solidity", "contrast", "frame_distance_px")

Bounds = tuple[float | None, float | None]
Change = tuple[Box, np.ndarray]  # a box, and what its pixels are from now on


@dataclass(frozen=True)
class _State:
    """All but the pixels."""

    next: int
    confidence: dict[int, float]
    decided: dict[int, bool] = field(default_factory=dict)  # whether it counts, by hand
    by_hand: dict[int, str] = field(default_factory=dict)
    filters: dict[str, Bounds] = field(default_factory=dict)
    tally: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("added", "split", "merged", "removed"), 0))

    def counting(self, **more: int) -> dict[str, int]:
        return self.tally | {name: self.tally[name] + number for name, number in more.items()}


class Review:
    """Particles of one micrograph, and what a person decided about them.

    Parameters
    ----------
    particles : Found, signal or int array of shape (height, width)
        What was found: 0 is background, any other number a particle.
    image : signal or array of the same shape, optional
        The micrograph.
    confidence : dict of label to float, optional
        How sure each particle is; by default what a Found says.
    pixel_size_nm, probability, marks
        As :func:`temlib.measure_particles` takes them.
    name : str
        Of the micrograph.
    empty : bool
        Whether there may be no particles: some are added by hand then.

    Attributes
    ----------
    labels : int32 array of shape (height, width)
        All particles as they are now, those that do not count too. Numbers stay what they were found with; a new
        particle has one that none had before.
    edits, undone : list of Edit
        What was done, in order, and what redo brings back, the last first.
    unmatched : list of Edit
        What was decided about particles that are not there now; kept for those that are found again.
    matched, lost : int
        How many particles that a file decides about were found here by overlap, and how many were not.

    Raises
    ------
    MicrographError
        When there are no particles and ``empty`` is false, or shapes differ.
    """

    def __init__(
        self,
        particles: Any,
        image: Any = None,
        *,
        confidence: Mapping[int, float] | None = None,
        pixel_size_nm: float | tuple[float, float] | None = None,
        probability: Any = None,
        marks: Any = None,
        name: str = "",
        empty: bool = False,
    ) -> None:
        self.name = name
        self.labels, known = _taken(particles, image, name)
        if not empty and not self.labels.any():
            raise MicrographError(f"{name}: {NO_PARTICLES}" if name else NO_PARTICLES)
        self._measures: dict[str, Any] = {
            "pixel_size_nm": pixel_size_nm or pixel_size_of(image) or pixel_size_of(particles),
            "image": None if image is None else as_array(image),
            "probability": probability,
            "marks": marks,
        }
        self._found = sha256(self.labels.tobytes()).hexdigest()
        self.n_found = len(np.unique(self.labels[self.labels > 0]))
        self._is_known_how_sure = confidence is not None or isinstance(particles, Found)
        self._state = _State(int(self.labels.max()) + 1, dict(known if confidence is None else confidence))
        self._before: pd.DataFrame | None = None  # what was measured before pixels changed in the boxes
        self._stale: list[Box] = []
        self._is_mended = False
        self._changed: list[Box] = []
        self._verdicts: tuple[Any, ...] = (None, None, None)  # of what was measured, and of which state
        self._past: list[tuple[Edit, _State, Change | None]] = []
        self.undone: list[Edit] = []
        self.unmatched: list[Edit] = []
        self.matched = self.lost = 0

    # ---- what is done

    def take_out(self, particles: Iterable[int]) -> None:
        """Let particles count no more."""
        self._named("take out", particles)

    def take_back(self, particles: Iterable[int]) -> None:
        """Let particles count again that were taken out; others, that a filter leaves out, whatever it says."""
        self._named("take back", particles)

    def remove(self, particles: Iterable[int]) -> None:
        """Let particles be background."""
        self._named("remove", particles)

    def merge(self, particles: Iterable[int]) -> None:
        """Make two particles or more one, which has the number of the largest."""
        if len({*particles}) < 2:
            raise ValueError("two particles at least can be merged; choose more")
        self._named("merge", particles)

    def split(self, points: Any) -> None:
        """Part particles along a line (x, y) [px]: those that it goes across.

        The largest piece keeps the number.
        """
        corners = check_points(points, 2)
        xs, ys = zip(*corners, strict=True)
        near = [
            number
            for number, (rows, columns) in sorted(self.boxes.items())
            if rows.start <= max(ys) and min(ys) < rows.stop and columns.start <= max(xs) and min(xs) < columns.stop
        ]
        crossed = [number for number in near if self._pieces(number, corners).max() > 1]
        if not crossed:
            raise ValueError("the line goes across no particle; draw it from background to background")
        self._named("split", crossed, corners)

    def add(self, mask: Any) -> int:
        """Add a particle where a bool array of shape (height, width) is true and no other is; give its number."""
        array = as_array(mask) != 0
        if array.shape != self.labels.shape:
            raise ValueError(f"the new particle has shape {array.shape}, the micrograph {self.labels.shape}")
        boxes = ndimage.find_objects(array.astype(np.uint8))
        region = self._free(array[boxes[0]], boxes[0]) if boxes else None
        if region is None:
            raise ValueError("there is no room for a new particle; paint on background")
        self._do(Edit("add", (self._state.next,), (region,)))
        return self._state.next - 1

    def filter(self, column: str, low: float | None = None, high: float | None = None) -> None:
        """Let only particles count whose number in a column lies between two bounds, both of them included.

        Parameters
        ----------
        column : str
            Of :attr:`measured`, any that holds numbers. A particle that has none there stays.
        low, high : float or None
            None for no bound; both None for no filter.
        """
        if column not in filter_columns(self.measured):
            raise ValueError(f"there is no number {str(column)[:60]!r} to filter by; choose a column of the table")
        bounds = tuple(None if each is None else float(each) for each in (low, high))
        if any(each is not None and not np.isfinite(each) for each in bounds):
            raise ValueError(f"bounds {low} and {high} are not finite; pass numbers, or None")
        if None not in bounds and float(low or 0) > float(high or 0):
            raise ValueError(f"the least {column} is {low}, above the greatest, {high}; pass the smaller one first")
        self._do(Edit("filter", column=column, bounds=(bounds[0], bounds[1])))

    def undo(self) -> None:
        """Take the last edit back; without one, do nothing."""
        if self._past:
            edit, self._state, change = self._past.pop()
            self._write(change)
            self.undone.append(edit)

    def redo(self) -> None:
        """Do again what was undone last."""
        if self.undone:
            rest = self.undone[:-1]
            self._do(self.undone[-1])
            self.undone = rest

    @property
    def edits(self) -> list[Edit]:
        """What was done, in order."""
        return [edit for edit, *_ in self._past]

    # ---- what comes of it

    @cached_property
    def boxes(self) -> dict[int, Box]:
        """Where each particle lies."""
        found = ndimage.find_objects(self.labels)
        return {number: box for number, box in enumerate(found, start=1) if box is not None}

    @cached_property
    def measured(self) -> pd.DataFrame:
        """A row for each particle, as :func:`temlib.measure_particles` gives it, with ``frame_distance_px``.

        That is the distance [px] between the particle's box and the frame. ``confidence`` is there where it is known
        of what was found, and missing for what was added.
        """
        before = self._before
        table = measure_particles(self.labels, **self._measures) if before is None else self._mended(before)
        self._is_mended |= self._before is not None
        self._before, self._stale = None, []
        height, width = self.labels.shape
        far = [table["top_px"], table["left_px"], height - table["bottom_px"], width - table["right_px"]]
        table["frame_distance_px"] = np.min(far, axis=0) if len(table) else np.zeros(0, int)
        if self._is_known_how_sure:
            sure = [self._state.confidence.get(number, np.nan) for number in table["particle"]]
            table["confidence"] = np.array(sure, float)
        return table

    @property
    def table(self) -> pd.DataFrame:
        """:attr:`measured`, with what becomes of each particle.

        ``by_hand`` is "split", "merged", "added" or empty; ``left_out`` says whether it does not count, ``why`` for
        which reason: a filter with its bound, by hand, or the frame that cuts it.
        """
        self._settle()
        return self.table_so_far

    @property
    def table_so_far(self) -> pd.DataFrame:
        """The same at once: after a change of pixels, lengths of outlines may differ in the fourth digit."""
        fates, why, by_hand = self.verdicts
        return self.measured.assign(by_hand=by_hand, left_out=fates > 0, why=why)

    @property
    def verdicts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each row of :attr:`measured`: the place of its fate in :data:`FATES`, why, and what was done by hand."""
        measured, state, verdicts = self._verdicts
        if measured is not self.measured or state is not self._state:
            by_hand = [self._state.by_hand.get(number, "") for number in self.measured["particle"].tolist()]
            verdicts = (*self._judged(), np.array(by_hand, object))
            self._verdicts = (self.measured, self._state, verdicts)
        return verdicts

    def changed_box(self) -> Box | None:
        """Where pixels have changed since this was asked last; None for nowhere."""
        boxes, self._changed = self._changed, []
        return around(boxes) if boxes else None

    @property
    def counting(self) -> pd.DataFrame:
        """The rows of :attr:`measured` that neither a filter nor a person leaves out, with ``by_hand``.

        Those that the frame cuts are among them, for :func:`temlib.size_distribution` to see.
        """
        table = self.table
        inside = ~table["left_out"] | (table["why"] == FATES[1])
        return table[inside].drop(columns=["left_out", "why"]).reset_index(drop=True)

    @property
    def rules(self) -> list[str]:
        """Why particles are left out, in words, with their number."""
        reasons = self.table["why"].value_counts().drop(["", FATES[1]], errors="ignore").sort_index()
        return [f"{reason} ({n} particles)" for reason, n in reasons.items()]

    @property
    def summary(self) -> str:
        """How many were found and what became of them, in a sentence."""
        counts = self.counts()
        said = [f"{counts['found']} found"]
        for column, bounds in counts["filters"].items():
            named = (("below", bounds["low"]), ("above", bounds["high"]))
            ends = [f"{word} {end:g}" for word, end in named if end is not None]
            said.append(f"{bounds['outside']} with {column} {' or '.join(ends)}")
        hands = {"taken_out": "taken out", "removed": "removed", "added": "added"}
        hands |= {"split": "more by splitting", "merged": "fewer by merging"}
        by_hand = [f"{counts[name]} {words}" for name, words in hands.items() if counts[name]]
        said += [f"by hand {', '.join(by_hand)}"] if by_hand else []
        if self.matched or self.lost:
            said.append(f"decisions about {self.matched} of {self.matched + self.lost} known by overlap")
        return f"{'; '.join(said)}; {counts['counted']} counted, {counts['cut_by_frame']} cut by the frame"

    @property
    def fates(self) -> dict[int, int]:
        """For each particle its place in :data:`FATES`."""
        return dict(zip(self.measured["particle"].tolist(), self.verdicts[0].tolist(), strict=True))

    @property
    def filters(self) -> dict[str, Bounds]:
        """Bounds by column."""
        return dict(self._state.filters)

    @property
    def kept(self) -> np.ndarray:
        """The particles that are neither taken out nor filtered out, in an int32 array of shape (height, width)."""
        self._settle()
        out = [number for number, fate in self.fates.items() if fate > 1]
        return np.where(np.isin(self.labels, out), 0, self.labels)

    @property
    def distribution(self) -> SizeDistribution | None:
        """Of what counts; None where that is fewer than two particles."""
        self._settle()
        return self.distribution_with()

    def distribution_with(self, **options: Any) -> SizeDistribution | None:
        """Give the size distribution with options of :func:`temlib.size_distribution`."""
        fates = self.verdicts[0]
        if np.count_nonzero(fates == 0) < 2:
            return None
        return size_distribution(self.measured[fates < 2], **options)

    def counts(self) -> dict[str, Any]:
        """Say how many were found, and what became of them, as JSON can hold it.

        ``found`` + ``added`` + ``split`` (more of them) - ``merged`` (fewer) - ``removed`` are those that there are:
        ``counted``, ``cut_by_frame``, ``filtered`` and ``taken_out``. ``filters`` has for each column the bounds and
        how many lie outside of them.
        """
        fates = np.bincount(self.verdicts[0], minlength=len(FATES)).tolist()
        names = ("counted", "cut_by_frame", "filtered", "taken_out")
        filters = {
            column: {"low": low, "high": high, "outside": int(np.count_nonzero(np.logical_or(*self._beyond(column))))}
            for column, (low, high) in self._state.filters.items()
        }
        return {"found": self.n_found, **self._state.tally, **dict(zip(names, fates, strict=True)), "filters": filters}

    def at(self, x: float, y: float) -> int:
        """Give the number of the particle at a point [px], 0 where there is none."""
        row, column = int(np.floor(y)), int(np.floor(x))
        inside = 0 <= row < self.labels.shape[0] and 0 <= column < self.labels.shape[1]
        return int(self.labels[row, column]) if inside else 0

    def within(self, points: Any) -> list[int]:
        """Give the particles whose centroid lies within an outline (x, y) [px]."""
        corners = np.array(check_points(points, 3))[:, ::-1] - 0.5
        table = self.measured
        inside = points_in_poly(table[["centroid_y_px", "centroid_x_px"]].to_numpy(float), corners)
        return table["particle"][inside].tolist()

    # ---- files

    def record(self) -> dict[str, Any]:
        """Give all that was decided, as JSON can hold it."""
        head: dict[str, Any] = {"temlib": _KIND, "micrograph": self.name, "sha256": self._image_sha256}
        head |= {"shape": list(self.labels.shape), "particles_sha256": self._found, "counts": self.counts()}
        return head | to_plain({"edits": self.edits, "undone": self.undone, "unmatched": self.unmatched})

    def save(self, path: str | os.PathLike) -> Path:
        """Write :meth:`record` to a file, all of it or nothing; see :func:`apply_review`."""
        return write_text(path, json.dumps(self.record(), allow_nan=False) + "\n")

    def replay(self, record: Mapping[str, Any]) -> None:
        """Do what a record says, to particles that may have been found anew.

        Raises
        ------
        ValueError, KeyError or TypeError
            When the record is damaged.
        MicrographError
            When it is of another micrograph.
        """
        if record.get("temlib") != _KIND:
            raise ValueError("it is no review of this version of temlib")
        shape, of_then, of_now = record["shape"], record["sha256"], self._image_sha256
        if shape != list(self.labels.shape):
            raise MicrographError(f"it is of a micrograph of {str(shape)[:40]} pixels, not {list(self.labels.shape)}")
        if None not in (of_then, of_now) and of_then != of_now:
            raise MicrographError(f"it is of another micrograph, {str(record['micrograph'])[:60]!r}")
        said = edits_from(record, _LISTS, self.labels.shape)
        if record["particles_sha256"] == self._found:
            for edit in said["edits"]:
                self._do(edit)
            self.undone, self.unmatched = said["undone"], said["unmatched"]
        else:
            for edit in (*said["edits"], *said["unmatched"]):
                self._do_by_overlap(edit)
            self.undone = []

    # ---- how

    def _named(self, do: str, particles: Iterable[int], points: tuple[tuple[float, float], ...] = ()) -> None:
        numbers = tuple(dict.fromkeys(int(number) for number in particles))
        missing = [number for number in numbers if number not in self.boxes]
        if missing or not numbers:
            raise ValueError(f"there is no particle {missing[0]}" if missing else "no particle was chosen")
        regions = tuple(Region.of(self.labels[self.boxes[each]] == each, self.boxes[each]) for each in numbers)
        self._do(Edit(do, numbers, regions, points))

    def _do(self, edit: Edit) -> None:
        missing = [number for number in edit.particles if number not in self.boxes]
        if missing and edit.do != "add":
            raise ValueError(f"there is no particle {missing[0]}")
        made: dict[str, Callable[[Edit], tuple[_State, Change | None]]] = {
            "take out": self._decided,
            "take back": self._decided,
            "remove": self._removed,
            "merge": self._merged,
            "split": self._parted,
            "add": self._added,
            "filter": self._filtered,
        }
        state, change = made[edit.do](edit)
        old = None if change is None else (change[0], self.labels[change[0]].copy())
        self._past.append((edit, self._state, old))
        self._state = state
        self._write(change)
        self.undone = []

    def _write(self, change: Change | None) -> None:
        """Change pixels, and remember where what was measured holds no more."""
        if change is not None:
            box, pixels = change
            self._recount(box, pixels)
            self.labels[box] = pixels
            self._stale.append(box)
            self._changed.append(box)
            self._before = self.__dict__.pop("measured", self._before)

    def _recount(self, box: Box, pixels: np.ndarray) -> None:
        """Keep places and areas up to date: a change holds all of each particle that it changes."""
        old, boxes = self.labels[box], self.boxes
        differ = old != pixels
        gained, lost = pixels[differ], old[differ]
        length = max(int(pixels.max()) + 1, len(self._areas))
        areas = np.bincount(gained, minlength=length) - np.bincount(lost, minlength=length)
        areas[: len(self._areas)] += self._areas
        changed = np.union1d(gained, lost)
        places = ndimage.find_objects(np.where(np.isin(pixels, changed[changed > 0]), pixels, 0), length)
        for number in changed[changed > 0].tolist():
            boxes.pop(number, None)
            if places[number - 1] is not None:
                boxes[number] = moved(places[number - 1], box[0].start, box[1].start)
        self._areas = areas

    def _settle(self) -> None:
        """Measure all particles together where some were measured apart: a script that does the same has the same."""
        if self._is_mended or self._before is not None:
            self._before, self._is_mended = None, False
            self.__dict__.pop("measured", None)

    def _mended(self, before: pd.DataFrame) -> pd.DataFrame:
        """Measure those anew that have changed or are near to what has, in a part of the micrograph."""
        reach = _RING_PX + int(np.sqrt(self._areas[1:].max(initial=0)))  # a particle's surroundings are smaller
        near = around(self._stale, reach, self.labels.shape)
        numbers = np.unique(self.labels[near])
        boxes = [self.boxes[number] for number in numbers[numbers > 0].tolist()]
        part = around([near, *boxes], reach, self.labels.shape)
        measures = self._measures | {
            name: None if self._measures[name] is None else as_array(self._measures[name])[part]
            for name in ("image", "probability", "marks")
        }
        anew = measure_particles(self.labels[part], **measures)
        anew = anew[np.isin(anew["particle"], numbers)]
        for place, columns in zip(part, _PLACES, strict=True):
            anew[[*columns]] += place.start
        anew[["frame_height_px", "frame_width_px"]] = self.labels.shape
        table = before.drop(columns=["frame_distance_px", "confidence"], errors="ignore")
        table = table[np.isin(table["particle"], [*self.boxes]) & ~np.isin(table["particle"], numbers)]
        return pd.concat([table, anew]).sort_values("particle", ignore_index=True)

    def _decided(self, edit: Edit) -> tuple[_State, None]:
        decided = dict(self._state.decided)
        for number in edit.particles:
            if edit.do == "take back" and decided.get(number) is False:
                del decided[number]
            else:
                decided[number] = edit.do == "take back"
        return replace(self._state, decided=decided), None

    def _filtered(self, edit: Edit) -> tuple[_State, None]:
        filters = {column: bounds for column, bounds in self._state.filters.items() if column != edit.column}
        if edit.bounds != (None, None):
            filters[edit.column] = edit.bounds
        return replace(self._state, filters=filters), None

    def _removed(self, edit: Edit) -> tuple[_State, Change]:
        box, pixels = self._part(edit.particles)
        pixels[np.isin(pixels, edit.particles)] = 0
        state = self._without(edit.particles)
        return replace(state, tally=state.counting(removed=len(edit.particles))), (box, pixels)

    def _merged(self, edit: Edit) -> tuple[_State, Change]:
        largest = max(edit.particles, key=lambda number: (self._areas[number], -number))
        others = [number for number in edit.particles if number != largest]
        said = {self._state.decided.get(number) for number in edit.particles}
        sure = [self._state.confidence[each] for each in edit.particles if each in self._state.confidence]
        state = self._without(edit.particles)
        (one,) = said if len(said) == 1 else (None,)
        state = replace(
            state,
            decided=state.decided | ({} if one is None else {largest: one}),
            by_hand=state.by_hand | {largest: "merged"},
            confidence=state.confidence | ({largest: min(sure)} if sure else {}),
            tally=state.counting(merged=len(others)),
        )
        box, pixels = self._part(edit.particles)
        pixels[np.isin(pixels, others)] = largest
        return state, (box, pixels)

    def _parted(self, edit: Edit) -> tuple[_State, Change]:
        state, (box, pixels) = self._state, self._part(edit.particles)
        for number in edit.particles:
            pieces = self._pieces(number, edit.points)
            more = int(pieces.max()) - 1
            if not more:
                raise ValueError(f"the line does not go across particle {number}")
            new = range(state.next, state.next + more)
            own = pixels[moved(self.boxes[number], -box[0].start, -box[1].start)]
            own[pieces > 0] = np.array([0, number, *new])[pieces[pieces > 0]]
            state = replace(
                state,
                next=state.next + more,
                decided=state.decided | _handed_on(state.decided, number, new),
                confidence=state.confidence | _handed_on(state.confidence, number, new),
                by_hand=state.by_hand | dict.fromkeys((number, *new), "split"),
                tally=state.counting(split=more),
            )
        return state, (box, pixels)

    def _added(self, edit: Edit) -> tuple[_State, Change]:
        region = self._free(edit.regions[0].mask, edit.regions[0].slices)
        if region is None:
            raise ValueError("there is no room for a particle that was added")
        number = self._state.next
        pixels = np.where(region.mask, np.int32(number), self.labels[region.slices])
        by_hand = self._state.by_hand | {number: "added"}
        state = replace(self._state, next=number + 1, by_hand=by_hand, tally=self._state.counting(added=1))
        return state, (region.slices, pixels)

    def _part(self, numbers: Iterable[int]) -> Change:
        """Give the box that holds some particles, and a copy of its pixels."""
        box = around(self.boxes[number] for number in numbers)
        return box, self.labels[box].copy()

    def _free(self, mask: np.ndarray, box: Box) -> Region | None:
        """Give the largest piece of a mask in a box that lies on background."""
        pieces = label(mask & (self.labels[box] == 0), connectivity=2)
        if not pieces.any():
            return None
        piece = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
        within = ndimage.find_objects(pieces)[piece - 1]
        return Region.of(pieces[within] == piece, moved(within, box[0].start, box[1].start))

    def _pieces(self, number: int, points: tuple[tuple[float, float], ...]) -> np.ndarray:
        box = self.boxes[number]
        return pieces_of(self.labels[box] == number, box, points)

    def _without(self, numbers: Iterable[int]) -> _State:
        gone, rest = {*numbers}, dict[str, Any]()
        for name in ("decided", "by_hand", "confidence"):
            said = getattr(self._state, name)
            rest[name] = {number: each for number, each in said.items() if number not in gone}
        return replace(self._state, **rest)

    @cached_property
    def _image_sha256(self) -> str | None:
        """Of the micrograph's grey levels; None without a micrograph."""
        image = self._measures["image"]
        return None if image is None else sha256(np.ascontiguousarray(image).tobytes()).hexdigest()

    @cached_property
    def _areas(self) -> np.ndarray:
        return np.bincount(self.labels.ravel(), minlength=self._state.next)

    def _beyond(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Say of each row whether it lies below the bounds of a filter, and whether above."""
        low, high = self._state.filters[column]
        if column not in self.measured:
            raise MicrographError(
                f"particles are filtered by {column[:60]}, which is not measured here; give the image"
            )
        values = self.measured[column].to_numpy(float)
        return values < (-np.inf if low is None else low), values > (np.inf if high is None else high)

    def _judged(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the fate of each row, and why."""
        table, state = self.measured, self._state
        numbers = table["particle"].to_numpy()
        out, back = (
            np.isin(numbers, [number for number, counts in state.decided.items() if counts is said])
            for said in (False, True)
        )
        cut = table["touches_edge"].to_numpy(bool)
        fates, why = np.where(cut, 1, 0), np.where(cut, FATES[1], "").astype(object)
        for column, (low, high) in state.filters.items():
            below, above = (part & ~back for part in self._beyond(column))
            why[above], why[below] = f"{column} above {high}", f"{column} below {low}"
            fates[above | below] = 2
        fates[out], why[out] = 3, FATES[3]
        return fates, why

    def _do_by_overlap(self, edit: Edit) -> None:
        """Do an edit to those particles here that share more than half of their pixels with those of then."""
        if edit.do == "filter":
            self._do(edit)
            return
        here = [self._like(region) for region in edit.regions]
        if edit.do == "add":
            free = None if here[0] else self._free(edit.regions[0].mask, edit.regions[0].slices)
            if free is not None:
                self._do(Edit("add", (self._state.next,), (free,)))
            else:
                self.unmatched.append(edit)
            known = bool(here[0] or free)
            self.matched, self.lost = self.matched + known, self.lost + (not known)
            return
        numbers = [number for number in here if number]
        if edit.do == "split":
            numbers = [number for number in numbers if self._pieces(number, edit.points).max() > 1]
        if len(numbers) >= (2 if edit.do == "merge" else 1):
            self._named(edit.do, numbers, edit.points)
        else:
            numbers = []
        self.matched, self.lost = self.matched + len(numbers), self.lost + len(here) - len(numbers)
        gone = [region for number, region in zip(here, edit.regions, strict=True) if number not in numbers]
        if gone and edit.do != "merge":
            kept = [each for each, number in zip(edit.particles, here, strict=True) if number not in numbers]
            self.unmatched.append(replace(edit, particles=tuple(kept), regions=tuple(gone)))
        elif gone and not numbers:
            self.unmatched.append(edit)

    def _like(self, region: Region) -> int:
        """Give the particle with which a region shares more than half (IoU), or 0."""
        mask = region.mask
        shared = np.bincount(self.labels[region.slices][mask])
        shared[:1] = 0
        if not shared.any():
            return 0
        number = int(shared.argmax())
        union = np.count_nonzero(mask) + self._areas[number] - shared[number]
        return number if 2 * shared[number] > union else 0


def apply_review(
    particles: Any,
    path: str | os.PathLike,
    image: Any = None,
    **measures: Any,
) -> Review:
    """Do again to particles what a person decided in :class:`temlib.ParticleReviewer`.

    Particles that were found as they were then get the same to the pixel. Others, as of a segmenter that was adapted
    meanwhile, are known by overlap: one that shares more than half (intersection over union) with the one of then.
    Where none are found now, those are left that were added by hand.

    Parameters
    ----------
    particles : Found, signal or int array of shape (height, width)
        What was found.
    path : path
        ``NAME_review.json``.
    image : signal or array of the same shape, optional
        The micrograph; needed where particles were filtered by contrast, and checked against the file.
    **measures
        ``confidence``, ``pixel_size_nm``, ``probability`` and ``marks``, as :class:`Review` takes them.

    Returns
    -------
    Review
        ``kept`` are the particles that are left, ``table`` says what became of each, ``matched`` and ``lost`` how many
        were known by overlap.

    Raises
    ------
    MicrographError
        When there is no such file, it is damaged, or it is of another micrograph.

    Examples
    --------
    >>> review = temlib.apply_review(segmenter.particles(image), "reviewed/gold_review.json", image)  # doctest: +SKIP
    >>> review.distribution.median  # doctest: +SKIP
    """
    review = Review(particles, image, name=Path(path).name.removesuffix(REVIEW), empty=True, **measures)
    try:
        review.replay(parse_json(read_bytes(path, LARGEST_FILE), LARGEST_FILE))
        review.counts()  # fails here where a filter is on what is not measured
    except MicrographError as error:
        raise MicrographError(f"{path}: {one_line(error)}; give the micrograph that it was made on") from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
        raise MicrographError(f"{path}: cannot be taken up ({reason}); check the file, or move it away") from error
    return review


def reviews_in(folder: str | os.PathLike) -> dict[str, Path]:
    """Give the files of decisions in a folder, by the name of their micrograph.

    Raises
    ------
    MicrographError
        When there are none.
    """
    files = sorted(Path(folder).glob(f"*{REVIEW}")) if Path(folder).is_dir() else []
    if not files:
        what = "there are no decisions in it" if Path(folder).is_dir() else "there is no such folder"
        raise MicrographError(f"{folder}: {what}; name the folder that a ParticleReviewer saved into")
    return {file.name.removesuffix(REVIEW): file for file in files}


def filter_columns(table: pd.DataFrame, most_used: bool = False) -> list[str]:
    """Name the columns of a table that particles can be filtered by, the most used first, or only these."""
    numbers = [name for name in table.select_dtypes("number") if name not in _NO_FILTER]
    first = [name for start in (*_FIRST_FILTERS, "confidence") for name in numbers if name.startswith(start)]
    return first if most_used else [*first, *(name for name in numbers if name not in first)]


def _taken(particles: Any, image: Any, name: str) -> tuple[np.ndarray, dict[int, float]]:
    """Give labels as a copy of our own, and the confidence of each where it is known."""
    what = f"{name}: " if name else ""
    known: dict[int, float] = {}
    if isinstance(particles, Found):
        known = dict(enumerate(particles.confidence.tolist(), start=1))
        particles = particles.labels
    array = as_array(particles)
    if array.dtype.kind not in "iu":
        raise MicrographError(
            f"{what}particles are whole numbers of shape (height, width); got {array.dtype} {array.shape}"
        )
    if array.size == 0 or array.min() < 0 or array.max() > _LARGEST_NUMBER:
        raise MicrographError(
            f"{what}particles have numbers from 1 to {_LARGEST_NUMBER}, 0 is background; number them anew"
        )
    if image is not None and as_array(image).shape != array.shape:
        raise MicrographError(
            f"{what}particles have shape {array.shape}, the micrograph {as_array(image).shape}; give those of it"
        )
    return array.astype(np.int32), known


def _handed_on(said: Mapping[int, Any], number: int, new: Iterable[int]) -> dict[int, Any]:
    """Give the pieces what was said of the whole."""
    return dict.fromkeys(new, said[number]) if number in said else {}
