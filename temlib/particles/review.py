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
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.measure import label, points_in_poly

from temlib.errors import MicrographError, one_line
from temlib.files.json_files import parse_json, read_bytes
from temlib.files.micrographs import as_array, pixel_size_of
from temlib.particles.edits import Edit, Region, check_points, edits_from, pieces_of, to_plain
from temlib.particles.measurement import measure_particles
from temlib.particles.placing import Found
from temlib.particles.size_distribution import SizeDistribution, size_distribution
from temlib.writing import write_text

if TYPE_CHECKING:
    import pandas as pd

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
Change = tuple[tuple[slice, slice], np.ndarray]  # a box, and what its pixels are from now on


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
            "pixel_size_nm": pixel_size_nm or pixel_size_of(image) or pixel_size_of(particles)
        }
        self._measures |= {"image": None if image is None else as_array(image)}
        self._measures |= {"probability": probability, "marks": marks}
        self._found = sha256(self.labels.tobytes()).hexdigest()
        self.n_found = len(np.unique(self.labels[self.labels > 0]))
        self._is_known_how_sure = confidence is not None or isinstance(particles, Found)
        self._state = _State(int(self.labels.max()) + 1, dict(known if confidence is None else confidence))
        self._before: pd.DataFrame | None = None  # what was measured before pixels changed in the boxes
        self._stale: list[tuple[slice, slice]] = []
        self._is_mended = False
        self._changed: list[tuple[slice, slice]] = []
        self._verdicts: tuple[Any, ...] = (None, None, None)  # of what was measured, and of which state
        self._past: list[tuple[Edit, _State, list[Change]]] = []
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
        rows, columns = (np.flatnonzero(array.any(axis=axis)) for axis in (1, 0))
        region = None
        if rows.size:
            box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
            region = self._free(array[box], box)
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
            edit, self._state, changes = self._past.pop()
            self._write(reversed(changes))
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
    def boxes(self) -> dict[int, tuple[slice, slice]]:
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
            verdicts = (*self._judged(), self._by_hand())
            self._verdicts = (self.measured, self._state, verdicts)
        return verdicts

    def changed_box(self) -> tuple[slice, slice] | None:
        """Where pixels have changed since this was asked last; None for nowhere."""
        boxes, self._changed = self._changed, []
        return _around(boxes, 0, self.labels.shape) if boxes else None

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
        why = self.table["why"]
        return [
            f"{reason} ({n} particles)"
            for reason, n in why.value_counts().sort_index().items()
            if reason not in FATES[:2] and reason
        ]

    @property
    def summary(self) -> str:
        """How many were found and what became of them, in a sentence."""
        counts = self.counts()
        said = [f"{counts['found']} found"]
        for column, bounds in counts["filters"].items():
            low, high = (bounds[which] for which in ("low", "high"))
            ends = [f"{word} {end:g}" for word, end in (("below", low), ("above", high)) if end is not None]
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
            column: {"low": low, "high": high, "outside": int(np.count_nonzero(self._outside(column)))}
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
        before = self._state
        made: dict[str, Callable[[Edit], tuple[_State, list[Change]]]] = {
            "take out": self._decided,
            "take back": self._decided,
            "remove": self._removed,
            "merge": self._merged,
            "split": self._parted,
            "add": self._added,
            "filter": self._filtered,
        }
        state, changes = made[edit.do](edit)
        old = [(box, self.labels[box].copy()) for box, _ in changes]
        self._state = state
        self._write(changes)
        self._past.append((edit, before, old))
        self.undone = []

    def _write(self, changes: Iterable[Change]) -> None:
        """Change pixels, and remember where what was measured holds no more."""
        changes = list(changes)
        for box, pixels in changes:
            self._recount(box, pixels)
            self.labels[box] = pixels
        if changes:
            self._stale += [box for box, _ in changes]
            self._changed += [box for box, _ in changes]
            self._before = self.__dict__.pop("measured", self._before)

    def _recount(self, box: tuple[slice, slice], pixels: np.ndarray) -> None:
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
            place = places[number - 1]
            if place is not None:
                rows, columns = (
                    slice(at.start + of.start, at.stop + of.start) for at, of in zip(place, box, strict=True)
                )
                boxes[number] = (rows, columns)
        self._areas = areas

    def _settle(self) -> None:
        """Measure all particles together where some were measured apart: a script that does the same has the same."""
        if self._is_mended or self._before is not None:
            self._before, self._is_mended = None, False
            self.__dict__.pop("measured", None)

    def _mended(self, before: pd.DataFrame) -> pd.DataFrame:
        """Measure those anew that have changed or are near to what has, in a part of the micrograph."""
        import pandas as pd

        reach = _RING_PX + int(np.sqrt(self._areas[1:].max(initial=0)))  # a particle's surroundings are smaller
        near = _around(self._stale, reach, self.labels.shape)
        numbers = np.unique(self.labels[near])
        boxes = [self.boxes[number] for number in numbers[numbers > 0].tolist()]
        part = _around([near, *boxes], reach, self.labels.shape)
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

    def _decided(self, edit: Edit) -> tuple[_State, list[Change]]:
        decided = dict(self._state.decided)
        for number in edit.particles:
            if edit.do == "take back" and decided.get(number) is False:
                del decided[number]
            else:
                decided[number] = edit.do == "take back"
        return replace(self._state, decided=decided), []

    def _filtered(self, edit: Edit) -> tuple[_State, list[Change]]:
        filters = {column: bounds for column, bounds in self._state.filters.items() if column != edit.column}
        if edit.bounds != (None, None):
            filters[edit.column] = edit.bounds
        return replace(self._state, filters=filters), []

    def _removed(self, edit: Edit) -> tuple[_State, list[Change]]:
        state = self._without(edit.particles)
        state = replace(state, tally=self._state.counting(removed=len(edit.particles)))
        changes = []
        for number in edit.particles:
            box = self.boxes[number]
            changes.append((box, np.where(self.labels[box] == number, np.int32(0), self.labels[box])))
        return state, _together(self.labels, changes)

    def _merged(self, edit: Edit) -> tuple[_State, list[Change]]:
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
        boxes = [self.boxes[number] for number in edit.particles]
        rows, columns = (slice(min(b[i].start for b in boxes), max(b[i].stop for b in boxes)) for i in (0, 1))
        pixels = self.labels[rows, columns]
        return state, [((rows, columns), np.where(np.isin(pixels, others), np.int32(largest), pixels))]

    def _parted(self, edit: Edit) -> tuple[_State, list[Change]]:
        state, changes = self._state, []
        for number in edit.particles:
            pieces = self._pieces(number, edit.points)
            more = int(pieces.max()) - 1
            if not more:
                raise ValueError(f"the line does not go across particle {number}")
            new = range(state.next, state.next + more)
            names = np.array([0, number, *new], np.int32)
            changes.append((self.boxes[number], np.where(pieces > 0, names[pieces], self.labels[self.boxes[number]])))
            state = replace(
                state,
                next=state.next + more,
                decided=state.decided | _handed_on(state.decided, number, new),
                confidence=state.confidence | _handed_on(state.confidence, number, new),
                by_hand=state.by_hand | dict.fromkeys((number, *new), "split"),
                tally=state.counting(split=more),
            )
        return state, _together(self.labels, changes)

    def _added(self, edit: Edit) -> tuple[_State, list[Change]]:
        region = self._free(edit.regions[0].mask, edit.regions[0].slices)
        if region is None:
            raise ValueError("there is no room for a particle that was added")
        number = self._state.next
        pixels = np.where(region.mask, np.int32(number), self.labels[region.slices])
        by_hand = self._state.by_hand | {number: "added"}
        state = replace(self._state, next=number + 1, by_hand=by_hand, tally=self._state.counting(added=1))
        return state, [(region.slices, pixels)]

    def _free(self, mask: np.ndarray, box: tuple[slice, slice]) -> Region | None:
        """Give the largest piece of a mask in a box that lies on background."""
        pieces = label(mask & (self.labels[box] == 0), connectivity=2)
        if not pieces.any():
            return None
        piece = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
        within = ndimage.find_objects(pieces)[piece - 1]
        rows, columns = (slice(at.start + of.start, at.stop + of.start) for at, of in zip(within, box, strict=True))
        return Region.of(pieces[within] == piece, (rows, columns))

    def _pieces(self, number: int, points: tuple[tuple[float, float], ...]) -> np.ndarray:
        box = self.boxes[number]
        return pieces_of(self.labels[box] == number, box, points)

    def _without(self, numbers: Iterable[int]) -> _State:
        gone, state = {*numbers}, self._state

        def rest(said: dict[int, Any]) -> dict[int, Any]:
            return {number: each for number, each in said.items() if number not in gone}

        return replace(
            state, decided=rest(state.decided), by_hand=rest(state.by_hand), confidence=rest(state.confidence)
        )

    @cached_property
    def _image_sha256(self) -> str | None:
        """Of the micrograph's grey levels; None without a micrograph."""
        image = self._measures["image"]
        return None if image is None else sha256(np.ascontiguousarray(image).tobytes()).hexdigest()

    @cached_property
    def _areas(self) -> np.ndarray:
        return np.bincount(self.labels.ravel(), minlength=self._state.next)

    def _outside(self, column: str) -> np.ndarray:
        """Say of each row whether it lies outside of the bounds of a filter."""
        low, high = self._state.filters[column]
        if column not in self.measured:
            raise MicrographError(
                f"particles are filtered by {column[:60]}, which is not measured here; give the image"
            )
        values = self.measured[column].to_numpy(float)
        return (values < (-np.inf if low is None else low)) | (values > (np.inf if high is None else high))

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
            outside = self._outside(column) & ~back
            values = table[column].to_numpy(float)
            below = outside & (values < (-np.inf if low is None else low))
            why[outside] = f"{column} above {high}"
            why[below] = f"{column} below {low}"
            fates[outside] = 2
        fates[out], why[out] = 3, FATES[3]
        return fates, why

    def _by_hand(self) -> np.ndarray:
        """Say of each row what was done to it by hand."""
        numbers, said = self.measured["particle"].to_numpy(), self._state.by_hand
        words = np.full(len(numbers), "", object)
        for row in np.flatnonzero(np.isin(numbers, [*said])):
            words[row] = said[int(numbers[row])]
        return words

    def _do_by_overlap(self, edit: Edit) -> None:
        """Do an edit to those particles here that share more than half of their pixels with those of then."""
        if edit.do == "filter":
            self._do(edit)
            return
        here = [self._like(region) for region in edit.regions]
        if edit.do == "add":
            free = None
            if here == [0]:
                free = self._free(edit.regions[0].mask, edit.regions[0].slices)
            if free is not None:
                self._do(Edit("add", (self._state.next,), (free,)))
            elif here == [0]:
                self.lost += 1
            self.matched += here != [0] or free is not None
            self.unmatched += [] if free is not None else [edit]
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


def _around(boxes: list[tuple[slice, slice]], margin: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Give the box that holds boxes and a margin around them."""
    rows, columns = (
        slice(
            max(min(box[axis].start for box in boxes) - margin, 0),
            min(max(box[axis].stop for box in boxes) + margin, shape[axis]),
        )
        for axis in (0, 1)
    )
    return rows, columns


def _handed_on(said: Mapping[int, Any], number: int, new: Iterable[int]) -> dict[int, Any]:
    """Give the pieces what was said of the whole."""
    return dict.fromkeys(new, said[number]) if number in said else {}


def _together(labels: np.ndarray, changes: list[Change]) -> list[Change]:
    """Make changes of boxes that may overlap one change."""
    rows, columns = (
        slice(min(box[i].start for box, _ in changes), max(box[i].stop for box, _ in changes)) for i in (0, 1)
    )
    pixels = labels[rows, columns].copy()
    for box, new in changes:
        part = pixels[
            tuple(slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, (rows, columns), strict=True))
        ]
        old = labels[box]
        part[new != old] = new[new != old]
    return [((rows, columns), pixels)]
