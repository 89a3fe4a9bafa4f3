"""The reviewer: look at every particle in a notebook before it counts.

The micrograph with every outline, coloured by what becomes of it, lies beside the size distribution and the filters; a
click takes a particle out or back, lines split, strokes merge, paint adds. The front end shares the painter's stage
(``stage.js``); what is done travels to Python, which does it, saves it, and sends back what becomes of each particle.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import traitlets
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from temlib.drawing import show_micrograph
from temlib.errors import MicrographError, TemlibError, one_line
from temlib.files.labels.label_files import outlines
from temlib.files.micrographs import pixel_size_of, with_axes_of
from temlib.network.segmenter import load_segmenter
from temlib.palette import COLOURS
from temlib.particles.review import FATES, NO_PARTICLES, Review
from temlib.particles.size_distribution import SizeDistribution, size_distribution
from temlib.pixel_classifier import PARTICLE
from temlib.widgets.answers import histogram_of, labels_png, rows_of, sizes_of, verdicts_of
from temlib.widgets.front_end import MicrographWidget, front_end
from temlib.widgets.reviewed import Reviewed, found_by
from temlib.widgets.strokes import BRUSH, Stroke, rasterise

__all__ = ["ParticleReviewer"]

_COLOURS = {
    "counted": COLOURS["found"],
    "cut": COLOURS["cut by the frame"],
    "filtered": COLOURS["filtered out"],
    "out": COLOURS["left out"],
    "tool": COLOURS["mark"],
}


class ParticleReviewer(MicrographWidget):
    """Look at every particle of micrographs, in a notebook: take out, bring back, split, merge, add, filter.

    Each change is saved at once; the same micrographs and folder bring all decisions back, also where a segmenter that
    was adapted meanwhile finds other pixels: particles are known by overlap then.
    :func:`temlib.apply_review` does the same in a script, ``temlib segment --review FOLDER`` for a folder.

    Parameters
    ----------
    micrographs : signal, array, path, or sequence of them
        Micrographs of shape (height, width), files, or a folder of files.
    folder : path
        Where decisions go, as ``NAME_review.json``.
    segmenter : Segmenter or callable, optional
        Finds the particles; by default the one that temlib brings. Not needed where ``particles`` are given.
    particles : sequence of Found, signals or int arrays, optional
        Labels of the particles, one array of shape (height, width) for each micrograph, or one for the only one.

    Raises
    ------
    MicrographError
        When no micrograph can be read, there are no particles in any or none of its shape, or files in the folder
        belong to others. Where some can be looked at, others are passed over with a message.
    ValueError
        When there are not as many particles as micrographs.

    Examples
    --------
    >>> reviewer = temlib.ParticleReviewer("my micrographs/", folder="reviewed")  # doctest: +SKIP
    >>> reviewer  # doctest: +SKIP
    >>> reviewer.distribution.median  # doctest: +SKIP
    >>> segmenter = segmenter.adapt(reviewer.images, reviewer.particles)  # doctest: +SKIP
    """

    _esm = front_end("stage.js", "reviewer.js")
    _css = front_end("painter.css", "reviewer.css")
    _labels = traitlets.Int().tag(sync=True, to_json=lambda _, widget: widget._whole())  # its version, and all of it
    _patch = traitlets.Dict().tag(sync=True)  # what of the labels has changed from one version to another
    _rows = traitlets.Dict().tag(sync=True)  # what is measured of each
    _colours = traitlets.Dict(_COLOURS).tag(sync=True)

    _shown: tuple[Any, ...] = (None, None, None)  # which micrograph, review and measurements
    _version = 0  # of the labels that the front end has
    _png = (0, b"")  # all of one version

    def __init__(
        self,
        micrographs: Any,
        folder: str | os.PathLike = "reviewed",
        segmenter: Any = None,
        particles: Any = None,
    ) -> None:
        super().__init__(micrographs, folder)
        self._segmenter, self._given = segmenter, None if particles is None else _one_each(particles, len(self._names))
        self.show(self._first())

    # ---- what comes of it

    @property
    def review(self) -> Review:
        """The review of the micrograph that is shown."""
        return self._here.review

    @property
    def reviews(self) -> dict[str, Review]:
        """The review of each micrograph by its name; those not looked at yet are segmented now."""
        return {reviewed.name: reviewed.review for reviewed in self._all()}

    @property
    def images(self) -> list[Any]:
        """The micrographs, as signals."""
        return [reviewed.image for reviewed in self._all()]

    @property
    def particles(self) -> list[Any]:
        """Labels of the particles that are left, int32 signals in the order of :attr:`images`.

        Those that the frame cuts are among them; those that were taken out or filtered out are background.
        """
        return [with_axes_of(each.image, each.review.kept, each.name) for each in self._all()]

    @property
    def table(self) -> pd.DataFrame:
        """All particles of all micrographs, a row each (:attr:`temlib.particles.review.Review.table`).

        ``micrograph`` is its name, ``left_out`` whether it does not count, ``why`` for which reason.
        """
        tables = [each.review.table.assign(micrograph=each.name) for each in self._all()]
        return pd.concat(tables, ignore_index=True)

    @property
    def distribution(self) -> SizeDistribution | None:
        """Of what counts in all micrographs together; None where that is fewer than two particles.

        Raises
        ------
        TemlibError
            When pixel sizes are known of some micrographs only: sizes in nm and in px are no population.
        """
        units = {pixel_size_of(each.image) is None for each in self._all()}
        if len(units) > 1:
            raise TemlibError(
                "some micrographs have no pixel size, and nm and px are no population; ask for each, "
                "reviewer.reviews[NAME].distribution"
            )
        tables = [each.review.counting.assign(micrograph=each.name) for each in self._all()]
        table = pd.concat(tables, ignore_index=True)
        return size_distribution(table) if (~table["touches_edge"].astype(bool)).sum() > 1 else None

    # ---- what can be done

    def take_out(self, particles: Sequence[int]) -> None:
        """Let particles of the micrograph that is shown count no more."""
        self._change(lambda review: review.take_out(particles))

    def take_back(self, particles: Sequence[int]) -> None:
        """Let particles count again that were taken out; others, that a filter leaves out, whatever it says."""
        self._change(lambda review: review.take_back(particles))

    def remove(self, particles: Sequence[int]) -> None:
        """Let particles be background."""
        self._change(lambda review: review.remove(particles))

    def split(self, points: Any) -> None:
        """Part the particles that a line (x, y) [px] goes across."""
        self._change(lambda review: review.split(points))

    def merge(self, particles: Sequence[int]) -> None:
        """Make particles one."""
        self._change(lambda review: review.merge(particles))

    def add(self, points: Any, size: float = BRUSH["size"]) -> None:
        """Add a particle: what a brush of this diameter [px] covers on its way (x, y) [px]."""
        stroke = Stroke.checked("particle", size, points)
        self._change(lambda review: review.add(rasterise([stroke], review.labels.shape) == PARTICLE))

    def add_seen(self, x: float, y: float) -> None:
        """Add what the network saw at a point [px], too faintly to be a particle."""
        self._change(lambda review: review.add(self._here.seen_at(x, y)))

    def filter(self, column: str, low: float | None = None, high: float | None = None) -> None:
        """Let only particles count whose number in a column of the table lies between two bounds; None is no bound."""
        self._change(lambda review: review.filter(column, low, high))

    def undo(self) -> None:
        """Take the last change back."""
        self._change(Review.undo)

    def redo(self) -> None:
        """Do again what was undone last."""
        self._change(Review.redo)

    def reload(self) -> None:
        """Take up what lies in the file of the micrograph that is shown, what another reviewer wrote as well."""
        self._here.take_up()
        self._show()

    def figure(self) -> Figure:
        """Draw the micrograph that is shown with what becomes of each particle, as a picture that needs no kernel."""
        review, distribution = self.review, self.review.distribution
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(8.2, 4.4), width_ratios=(1.5, 1), layout="constrained", dpi=110
        )
        show_micrograph(left, self._here.image, self._here.name)
        fates = review.fates
        table = review.measured.set_index("particle")
        for fate, (words, colour) in enumerate(zip(FATES, list(_COLOURS.values())[:4], strict=True)):
            chosen = [number for number, each in fates.items() if each == fate]
            labels = np.where(np.isin(review.labels, chosen), review.labels, 0)
            rings = [ring[:, ::-1] - 0.5 for ring in outlines(labels)]
            left.add_collection(LineCollection(rings, colors=colour, linewidths=0.9, label=f"{len(chosen)} {words}"))
            if fate > 1 and chosen:
                places = table.loc[chosen, ["centroid_x_px", "centroid_y_px"]].to_numpy().T
                left.scatter(*places, s=14, c=colour, marker="x" if fate == 3 else "_", linewidths=0.9)
        left.legend(loc="upper left", bbox_to_anchor=(0, 0), ncols=2, frameon=False, fontsize=7)
        _draw_sizes(right, distribution)
        return figure

    # ---- to and from the front end

    def _at_rest(self) -> tuple[Figure, str]:
        figure, counts = self.figure(), self.review.counts()
        text = f"ParticleReviewer: {self._here.name}, {counts['counted']} counted of {counts['found']} found"
        return figure, text

    def _do(self, message: dict[str, Any]) -> None:
        wish = message["do"]
        if wish in ("undo", "redo"):
            getattr(self, wish)()
        elif wish in ("remove", "merge"):
            getattr(self, wish)(message["particles"])
        elif wish == "turn":
            self._turn(message["particles"])
        elif wish == "lasso":
            self._turn(self.review.within(message["points"]))
        elif wish == "split":
            self.split(message["points"])
        elif wish == "add":
            self.add(message["points"], message["size"])
        elif wish == "add seen":
            self.add_seen(*message["point"])
        elif wish == "filter":
            low, high = message["bounds"]
            drag = (message["column"], message["drag"])
            self._change(lambda review: review.filter(message["column"], low, high), drag, message.get("index"))
        elif wish == "all":
            self._shown = (None, None, None)
            self._show()
        elif wish == "go":
            self._step(message)
        else:
            raise ValueError(f"{wish!r} is nothing that the reviewer does")

    def _turn(self, particles: Sequence[int]) -> None:
        """Take particles out, or back where all of them are out."""
        fates = self.review.fates
        counting = [number for number in particles if fates.get(number, 0) < 2]
        if counting:
            self.take_out(counting)
        else:
            self.take_back(particles)

    def _change(self, do: Any, going_on: Any = None, index: int | None = None) -> None:
        """Change the micrograph that is shown, or the one that was shown when somebody wished it."""
        try:
            self._open(self._index if index is None else index).do(do, going_on)
        finally:
            self._show()

    def _first(self) -> int:
        """Open the first micrograph that has particles."""
        flaws: dict[str, MicrographError] = {}
        for index, reviewed in self._readable(range(len(self._names)), flaws):
            if reviewed.review.labels.any() or reviewed.review.edits:
                return index
            flaws[reviewed.name] = MicrographError(f"{reviewed.name}: {NO_PARTICLES}")
        raise next(iter(flaws.values()))

    def _taken_up(self, index: int, name: str, image: Any) -> Reviewed:
        given = None if self._given is None else self._given[index]
        if given is None and self._segmenter is None:
            self._segmenter = load_segmenter()
        with warnings.catch_warnings():  # of a doubtful mask, which is looked at now
            warnings.simplefilter("ignore")
            return Reviewed(image, name, self.folder, found_by(self._segmenter, given))

    def _all(self) -> list[Reviewed]:
        """Open all micrographs; those that cannot be are passed over with a warning."""
        flaws: dict[str, MicrographError] = {}
        opened = [reviewed for _, reviewed in self._readable(range(len(self._names)), flaws)]
        for name, error in flaws.items():
            warnings.warn(f"{name} is passed over: {one_line(error)}", stacklevel=3)
        return opened

    def _show(self, message: str = "") -> None:
        reviewed, review = self._here, self.review
        index, shown, measured = self._shown
        with self.hold_sync():
            if index != self._index or shown is not review:
                review.changed_box()
                self._version += 1
                self._labels = self._version
            elif (box := review.changed_box()) is not None:
                self._patch = {
                    "from": self._version,
                    "to": self._version + 1,
                    "place": [box[0].start, box[1].start],
                    "png": labels_png(review.labels[box]),
                }
                self._version += 1
            if measured is not review.measured:
                self._rows = rows_of(review)
            self._shown = (self._index, review, review.measured)
            self._state = self._place(message or reviewed.message) | self._state_of(reviewed)

    def _whole(self) -> dict[str, Any]:
        """Give all labels as they are now, for a front end that has none or has missed some."""
        if self._png[0] != self._version:
            self._png = (self._version, labels_png(self.review.labels))
        return dict(zip(("version", "png"), self._png, strict=True))

    @staticmethod
    def _state_of(reviewed: Reviewed) -> dict[str, Any]:
        """Give what becomes of each particle, and what was done."""
        review = reviewed.review
        return {
            **verdicts_of(review),
            "filters": {column: list(bounds) for column, bounds in review.filters.items()},
            "counts": review.counts(),
            "sizes": sizes_of(review),
            "n_edits": len(review.edits),
            "n_undone": len(review.undone),
            "sees": reviewed.probability is not None,
        }


def _one_each(particles: Any, count: int) -> list[Any]:
    """Give the particles of each micrograph."""
    single = isinstance(particles, np.ndarray) and particles.ndim == 2
    single |= hasattr(particles, "axes_manager") or hasattr(particles, "labels")
    given = [particles] if single else list(particles)
    if len(given) != count:
        raise ValueError(f"particles of {len(given)} micrographs for {count}; pass one array of labels for each")
    return given


def _draw_sizes(axes: Any, found: SizeDistribution | None) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.set_ylabel("particles", fontsize=8)
    if found is None:
        axes.set_title("fewer than two particles count", fontsize=8)
        return
    axes.stairs(*histogram_of(found), fill=True, color=COLOURS["found"])
    median, (words, unit) = found.median, found.column.rsplit("_", 1)
    interval = f" ({median.low:.3g} to {median.high:.3g})" if np.isfinite(median.low) else ""
    axes.axvline(median.value, color="0.2", linestyle="--", linewidth=1)
    axes.set_title(f"{found.n} counted, median {median.value:.3g}{interval} {unit}", fontsize=8)
    axes.set_xlabel(f"{words.replace('_', ' ')} [{unit}]", fontsize=8)
