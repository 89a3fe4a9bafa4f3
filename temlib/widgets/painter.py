"""The label painter: paint on micrographs in a notebook and watch the machine learn.

Strokes are drawn in the browser, so that the brush follows the hand however far away the kernel is;
only their coordinates travel to Python, which draws them by the same rule, lets a classifier learn,
saves, and sends the label back. ``anywidget`` carries the front end: one file of plain JavaScript
and nothing to build, for JupyterLab, Notebook 7, VS Code and Colab alike (tried here: JupyterLab and Notebook 7).
``ipycanvas`` would ask Python about every movement of the mouse, and its hand drawing did not work
in Colab; ``jupyter-paint-segment`` fills segments, but knows no scribbles from which to learn.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure

from temlib.drawing import show_micrographs
from temlib.errors import MicrographError, TemlibError
from temlib.files.micrographs import pixel_size_of
from temlib.files.scale_bars.scale_bar import look_for_scale_bar
from temlib.files.scale_bars.scale_labels import can_read
from temlib.palette import COLOURS
from temlib.pixel_classifier import BACKGROUND, PARTICLE, PixelClassifier
from temlib.widgets.front_end import MicrographWidget, front_end, png_of
from temlib.widgets.painting import FILES, Painting
from temlib.widgets.strokes import BRUSH, Stroke

__all__ = ["LabelPainter"]

_PAUSE = 0.03  # s without a stroke, after which the classifier learns: of strokes that queue up, only once
_COLOURS = {
    "particle": COLOURS["particle stroke"],
    "background": COLOURS["background stroke"],
    "learn": COLOURS["ML"],
    "correct": COLOURS["found"],
}


class LabelPainter(MicrographWidget):
    """Paint labels on micrographs, in a notebook: scribble, correct a mask, set the pixel size.

    Each stroke is saved at once; the same micrographs and folder bring everything back. Where another
    painter has written there meanwhile, nothing is replaced: see :meth:`reload` and :meth:`save`. Where a
    micrograph has strokes of both classes a classifier learns from them; where it has not, from
    those of the others. A stroked pixel always has the class of its stroke.

    Parameters
    ----------
    micrographs : signal, array, path, or sequence of them
        What to paint on: micrographs of shape (height, width), files, or a folder of files.
    folder : path
        Where labels go; see :mod:`temlib.widgets.painting` for the files.
    segmenter : Segmenter or callable, optional
        Gives a first mask of each micrograph, to correct by hand.
    masks : sequence of masks, optional
        First masks, one for each micrograph, in place of a segmenter's.
    classifier : str
        One of :data:`temlib.pixel_classifier.CLASSIFIERS`. The default is both better and quicker on a micrograph that
        one scribbles on (``tests/benchmarks/classifiers.py``).
    seed : int
        Of the classifier.

    Attributes
    ----------
    diameter : dict of str to float
        ``diameter_nm`` or ``diameter_px`` that the segmenter was told by a line over a particle
        (:meth:`look_for`); empty before.

    Raises
    ------
    MicrographError
        When no micrograph can be read, or files in the folder belong to others.

    Examples
    --------
    >>> painter = temlib.LabelPainter("my micrographs/", folder="my labels")  # doctest: +SKIP
    >>> painter  # doctest: +SKIP
    >>> segmenter = segmenter.adapt(painter.images, painter.masks)  # doctest: +SKIP
    """

    _esm = front_end("stage.js", "painter.js")
    _css = Path(__file__).with_name("painter.css")
    _marks = traitlets.Bytes().tag(sync=True)  # png: the strokes drawn, 0, 1 or 2
    _label = traitlets.Bytes().tag(sync=True)  # png: 0 or 1
    _colours = traitlets.Dict(_COLOURS).tag(sync=True)

    def __init__(
        self,
        micrographs: Any,
        folder: str | os.PathLike = "labels",
        segmenter: Any = None,
        masks: Sequence[Any] | None = None,
        *,
        classifier: str = "quadratic",
        seed: int = 0,
    ) -> None:
        super().__init__(micrographs, folder)
        if masks is not None and len(masks) != len(self._names):
            raise ValueError(f"{len(masks)} masks for {len(self._names)} micrographs; pass one for each, or none")
        self._segmenter, self._first_masks = segmenter, masks
        self._untold = segmenter  # as it is before a diameter is told
        self._classifier, self._seed = classifier, seed
        PixelClassifier(seed, classifier=classifier)  # fails here and not at the first stroke
        self._pending: asyncio.TimerHandle | None = None
        self.diameter: dict[str, float] = {}
        self.show(self._first())

    @property
    def images(self) -> list[Any]:
        """The micrographs whose label is accepted, as signals."""
        return [painting.image for painting in self._accepted()]

    @property
    def masks(self) -> list[Any]:
        """The accepted labels, bool signals, in the order of :attr:`images`."""
        return [painting.accepted_label() for painting in self._accepted()]

    @property
    def painting(self) -> Painting:
        """What is painted on the micrograph that is shown."""
        return self._here

    @property
    def label(self) -> np.ndarray:
        """The label of the micrograph that is shown, as it stands: bool, (height, width)."""
        return self._label_of(self.painting)

    def paint(self, kind: str, points: Any, size: float = BRUSH["size"]) -> None:
        """Paint a stroke on the micrograph that is shown, as the mouse does.

        Parameters
        ----------
        kind : "particle", "background" or "erase"
            What it says of its pixels.
        points : array of shape (n, 2)
            Where it goes, (x, y) [px].
        size : float
            Diameter of the brush [px].
        """
        self.painting.paint(Stroke.checked(kind, size, points))
        self._painted()

    def look_for(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Look for particles as large as one is: the segmenter's masks are of that size from now on.

        Parameters
        ----------
        start, end : (x, y)
            Ends of a line across one particle [px].

        Raises
        ------
        ValueError
            When both are one point, or no segmenter that can be told a size gives the masks.
        """
        length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        if not length > 0:
            raise ValueError("a diameter needs two different points")
        if not hasattr(self._segmenter, "looking_for"):
            raise ValueError(f"{length:.1f} px; to look for that size, make the painter with segmenter=")
        size = pixel_size_of(self.painting.image)
        told = {"diameter_px": length} if size is None else {"diameter_nm": length * float(np.sqrt(size[0] * size[1]))}
        self._segmenter, self.diameter = self._segmenter.looking_for(**told), told
        self._correct()

    def accept(self) -> None:
        """Write the label that is shown as done."""
        self.painting.accept(self.label)
        self._show()

    def reload(self) -> None:
        """Take up what lies in the folder of the micrograph that is shown, another painter's strokes as well.

        What was painted here and could not be saved is gone then.
        """
        del self._opened[self._index]
        self._show_image()

    def figure(self) -> Figure:
        """Draw the micrographs that have strokes or an accepted label, as a picture that needs no kernel."""
        painted = [painting for painting in self._all() if painting.strokes or painting.accepted]
        if not painted:
            raise TemlibError(f"{self.folder}: nothing is painted yet; paint, then ask for the figure again")
        return self._drawn(painted)

    def _at_rest(self) -> tuple[Figure, str]:
        text = f"LabelPainter: {self.painting.name}, {len(self._accepted())} of {len(self._names)} accepted"
        return self._drawn([self.painting]), text

    def _drawn(self, paintings: Sequence[Painting]) -> Figure:
        strokes = {"background stroke": BACKGROUND, "particle stroke": PARTICLE}
        masks = []
        for painting in paintings:
            kind = "ML" if painting.mode == "learn" else "TL"
            drawn = {name: painting.marks == value for name, value in strokes.items()}
            masks.append({kind: self._label_of(painting)} | drawn)
        titles = [f"{painting.name}{', accepted' if painting.accepted else ''}" for painting in paintings]
        images = [painting.image for painting in paintings]
        return show_micrographs(images, titles, masks, columns=min(len(images), 3), fill=True, width=2.6)

    def _do(self, message: dict[str, Any]) -> None:
        wish = message["do"]
        if wish == "stroke":
            self.paint(message["kind"], message["points"], message["size"])
        elif wish in ("undo", "redo"):
            getattr(self.painting, wish)()
            self._painted()
        elif wish in ("learn", "withdraw"):
            getattr(self.painting, wish)()
            self._show()
        elif wish == "correct":
            self._correct()
        elif wish == "accept":
            self.accept()
            self._go_on()
        elif wish == "go":
            self._step(message)
        elif wish == "diameter":
            self.look_for(*message["points"])
        elif wish == "read scale bar":
            self._show(*self._read_scale_bar())
        elif wish == "scale bar":
            start, end = message["points"]
            self.painting.set_scale_bar(start, end, message["length_nm"])
            self._show()
        else:
            raise ValueError(f"{wish!r} is nothing that the painter does")

    def _read_scale_bar(self) -> tuple[str, dict[str, Any] | None]:
        """Read the burnt-in scale bar: say what is there, and give what to propose, where it was read."""
        by_hand = "click both ends of the scale bar"
        if not can_read():
            return f"{by_hand}; to have it read, run: pip install 'temlib[scalebar]'", None
        found, why = look_for_scale_bar(self.painting.image)
        if found is None:
            return f"no scale bar was read{': ' if why else ''}{why}; {by_hand}", None
        x0, y0, x1, y1 = found.bar
        ends = [[x0, (y0 + y1) / 2], [x1, (y0 + y1) / 2]]
        said = f"read {found.label} over {found.length_px:.1f} px: Set takes it; or {by_hand}"
        return said, {"points": ends, "length_nm": found.length_nm}

    def _first(self) -> int:
        """Open the first micrograph that is not accepted, passing over files that are none."""
        flaws: dict[str, MicrographError] = {}
        for index, painting in self._readable(range(len(self._names)), flaws):
            if not painting.accepted:
                return index
        if not self._opened:
            raise next(iter(flaws.values()))
        return min(self._opened)

    def _taken_up(self, index: int, name: str, image: Any) -> Painting:
        painting = Painting(image, name, self.folder)
        begun = painting.strokes or painting.undone or painting.accepted
        if not begun and self._gives_masks:
            painting.correct(self._predicted(index, painting.image))
        return painting

    def _all(self) -> Iterator[Painting]:
        """Open what is painted on, now or in an earlier session."""
        for index, name in enumerate(self._names):
            if index in self._opened or (self.folder / f"{name}{FILES[0]}").exists():
                yield self._open(index)

    def _accepted(self) -> list[Painting]:
        return [painting for painting in self._all() if painting.accepted]

    def _label_of(self, painting: Painting) -> np.ndarray:
        return painting.label(lambda: self._learn(painting))

    def _learn(self, painting: Painting) -> PixelClassifier | None:
        """Let a classifier learn from this micrograph, or from the others where this one does not suffice."""
        teachers = [painting] if painting.has_both_classes else [p for p in self._all() if p.has_both_classes]
        if not teachers:
            return None
        features, classes = zip(*(teacher.marked() for teacher in teachers), strict=True)
        classifier = PixelClassifier(self._seed, classifier=self._classifier)
        scales = [teacher.scale for teacher in teachers]
        return classifier.fit_features(np.concatenate(features), np.concatenate(classes), scales)

    def _predicted(self, index: int, image: Any) -> Any:
        if self._first_masks is not None:
            return self._first_masks[index]
        lost = "diameter_nm" in self.diameter and pixel_size_of(image) is None
        segmenter = self._untold if lost else self._segmenter  # a diameter in nm says nothing without a pixel size
        with warnings.catch_warnings():  # of a doubtful mask, which is about to be corrected
            warnings.simplefilter("ignore")
            return segmenter(image)

    @property
    def _gives_masks(self) -> bool:
        return self._segmenter is not None or self._first_masks is not None

    def _correct(self) -> None:
        """Correct the mask that a segmenter or somebody gave; else the label as the classifier left it."""
        mask = self._predicted(self._index, self.painting.image) if self._gives_masks else self.label
        self.painting.correct(mask)
        self._show()

    def _painted(self) -> None:
        """Learn soon: at once where no event loop runs, else when strokes stop coming in."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._show()
            return
        if self._pending is not None:
            self._pending.cancel()
        self._pending = loop.call_later(_PAUSE, self._show)

    def _go_on(self) -> None:
        """Turn to the next micrograph that is not accepted, if there is one."""
        n = len(self._names)
        others = self._readable(((self._index + step) % n for step in range(1, n)), {})
        waiting = (index for index, painting in others if not painting.accepted)
        next(self._readable(waiting, {}, show=True), None)

    def _show_image(self) -> None:
        if not self.painting.has_both_classes:
            self.painting.forget_classified()
        super()._show_image()

    def _show(self, message: str = "", scale_bar: dict[str, Any] | None = None) -> None:
        painting, label = self.painting, self.label
        size = pixel_size_of(painting.image)
        with self.hold_sync():
            self._marks, self._label = png_of(painting.marks), png_of(label.astype(np.uint8))
            self._state = self._place(message) | {
                "n_accepted": len(self._accepted()),
                "mode": painting.mode,
                "n_strokes": len(painting.strokes),
                "n_undone": len(painting.undone),
                "teaches": painting.has_both_classes,
                "accepted": painting.accepted,
                "coverage": float(label.mean()),
                "pixel_size_nm": None if size is None else size[1],
                "pixel_size_source": painting.pixel_size_source,
                "diameter": " ".join(f"{value:.4g} {name[-2:]}" for name, value in self.diameter.items()),
                "scale_bar": scale_bar,
            }
