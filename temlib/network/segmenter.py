"""The segmenter: a trained network with its preprocessing, applied, saved and loaded."""

from __future__ import annotations

import json
import os
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.errors import SegmenterError, one_line
from temlib.files import stacks
from temlib.files.grey_levels import GreyLevels, normalise
from temlib.files.json_files import in_range, parse_json
from temlib.files.micrographs import as_array, pixel_size_of
from temlib.files.resampling import resize
from temlib.network import finding, learning, tiling
from temlib.network.finding import auto_scales, scaled
from temlib.network.model_files import read_model
from temlib.network.sought import Contrast, Diameter, Marks, Sought
from temlib.network.tiling import TILE
from temlib.network.trust import Trust, agreement
from temlib.network.weights import BUNDLED, CARRIED_SEGMENTERS, DEFAULT
from temlib.network.workers import Parcel, of_chunk
from temlib.particles.level import Level
from temlib.particles.placing import Found
from temlib.particles.proposals import Proposals
from temlib.particles.scorer import Scorer
from temlib.writing import write_atomically

if TYPE_CHECKING:
    import keras

__all__ = ["RESULTS", "SCORER", "Segmenter", "carried_scorer", "load_segmenter"]

_METADATA = "temlib.json"  # beside Keras's own members of the .keras archive
SCORER = "scorer.npz"
"""Member of a segmenter's file that holds its scorer."""

_IN_DOUBT = 0.15
"""Doubt above which the other contrast is looked at too. It saves time alone: on the validation micrographs of ``emps``
and ``simulated`` the other was never doubted less where this was doubted no more (tests/benchmarks/contrast.py)."""

Scale = str | float | Sequence[float]

RESULTS = {"mask": bool, "probability": np.float32, "particles": np.int32}
"""What a segmenter gives, and the dtype of it."""


@dataclass
class Segmenter:
    """Give the particle mask of a micrograph.

    Attributes
    ----------
    model : keras.Model
        From :func:`temlib.network.unet.unet`.
    particle_size : float
        Diameter of particles as the network saw them in training [px], before magnification varied.
    pixel_size_nm : float or None
        Pixel size there (geometric mean over the training micrographs), where it is known.
    levels : GreyLevels
        Normalisation of the grey levels, the same as in training.
    threshold : float
        Probability above which a pixel belongs to a particle.
    runtime : "keras", "openvino" or "auto"
        What does the sums, see :func:`temlib.network.tiling.start`. Keras by default, since a model in memory may go
        on learning: OpenVINO keeps the weights with which it was started. So what was just trained is on Keras, with
        the same masks; :meth:`with_runtime` or :func:`load_segmenter` take OpenVINO, which seconds to start it repay
        over many micrographs.
    history : list of dict
        Epoch by epoch: loss, and mean IoU on validation where there was one.
    trust : Trust or None
        What the network's doubt says of a mask's IoU, where that was calibrated.
    scorer : Scorer or None
        What judges proposals of particles, where that was learned.
    min_confidence : float or None
        Confidence below which a particle is left out, in [0, 1]; None is the scorer's choice.
    sought : Sought
        Size and contrast of the particles that are looked for, and whether marks may be some; see :meth:`looking_for`.
        Not saved.
    """

    model: keras.Model
    particle_size: float = 64.0
    pixel_size_nm: float | None = None
    levels: GreyLevels = field(default_factory=GreyLevels)
    threshold: float = 0.5
    runtime: str = "keras"
    history: list[dict[str, float]] = field(default_factory=list)
    trust: Trust | None = None
    scorer: Scorer | None = None
    min_confidence: float | None = None
    sought: Sought = field(default_factory=Sought)
    _network: tiling.Started = field(default_factory=tiling.Started, repr=False, compare=False)

    def maps(self, image: Any, scale: Scale = "auto", tile: int = TILE) -> np.ndarray:
        """Give all that the network says of each pixel.

        Parameters
        ----------
        image : signal or array of shape (height, width)
            Any size, any range of grey levels.
        scale : "auto", "calibrated", float or sequence of float
            Pixels of the network for one of the image: 1 is native resolution. ``"auto"`` looks at
            several pictures of the image, each twice as large as the one before, since particles
            may be of any size (:func:`temlib.network.finding.auto_scales`). ``"calibrated"`` brings the image to the
            pixel size of training. What the network says of several pictures is averaged; the
            less it doubts at one scale, the more that counts. Where a diameter is told
            (:meth:`looking_for`), ``"auto"`` is the scale that shows it as the network knows it.
        tile : int
            Larger pictures are predicted in tiles of this edge [px], which bounds the memory.

        Returns
        -------
        float32 array of shape (height, width, 2), in [0, 1]
            Probability of *particle*, and distance to the particle's edge over its largest.

        Raises
        ------
        ValueError
            When ``scale`` is none of these, or the pixel size of training or image is unknown.
        """
        scales = self.scales_for(image, scale)
        return self._maps(as_array(image)[None], scales, tile)[0]

    def _maps(self, frames: np.ndarray, scales: Sequence[float], tile: int, number: int = 2) -> np.ndarray:
        """Give the first or both of the maps of frames of one size, in the contrast that is looked for."""
        grey = self._grey(frames)
        maps = self._averaged(grey, scales, tile, number)
        doubts = self._doubts([seen[..., 0] for seen in maps])
        for i, doubt in doubts.items():
            seen = self._averaged(-grey[i : i + 1], scales, tile, number)[0]
            maps[i] = seen if finding.doubt_in(seen[..., 0]) < doubt else maps[i]
        return maps

    def _grey(self, frames: np.ndarray) -> np.ndarray:
        """Give normalised frames, inverted where bright particles are looked for."""
        grey = np.stack([normalise(frame, self.levels) for frame in frames])
        return -grey if self.sought.contrast == "bright" else grey

    def _doubts(self, probabilities: Iterable[np.ndarray]) -> dict[int, float]:
        """Give the doubt in those frames that are to be looked at in the other contrast, too."""
        if self.sought.contrast != "auto":
            return {}
        doubts = {i: finding.doubt_in(probability) for i, probability in enumerate(probabilities)}
        return {i: doubt for i, doubt in doubts.items() if doubt > _IN_DOUBT}

    def _averaged(self, grey: np.ndarray, scales: Sequence[float], tile: int, number: int) -> np.ndarray:
        """Give what the network says of normalised frames, averaged; each frame has weights of its own."""
        shape = grey.shape[1:]
        total, weights = np.zeros((*grey.shape, number), np.float32), np.zeros(len(grey), np.float32)
        for _, size, pictures in self._seen(grey, scales, tile):
            box = (0, 0, size[0] / 2, size[1] / 2)  # the maps have half the pictures' resolution
            for i, seen in enumerate(pictures[..., :number]):
                weight = finding.certainty(seen[..., 0])
                total[i] += weight * resize(seen, shape, box)
                weights[i] += weight
        total /= weights[:, None, None, None]
        return np.clip(total, 0, 1, out=total)

    def _seen(
        self, grey: np.ndarray, scales: Sequence[float], tile: int
    ) -> Iterator[tuple[float, tuple[int, int], np.ndarray]]:
        """Yield each scale, the pictures' size, and what the network says of all frames at half that size."""
        network = self._network.network = self._network.network or tiling.start(self.model, self.runtime)
        for scale in scales:
            size = scaled(grey.shape[1:], scale)
            yield scale, size, tiling.predict(network, np.stack([resize(each, size) for each in grey]), tile)

    def _levels(self, frames: np.ndarray, scales: Sequence[float], tile: int) -> list[tuple[list[Level], str]]:
        """Give what is said of each frame at each scale in the contrast that is looked for, and that contrast."""
        grey = self._grey(frames)
        levels = self._levels_of(grey, scales, tile)
        contrasts = ["bright" if self.sought.contrast == "bright" else "dark"] * len(levels)
        doubts = self._doubts(finding.average(finding.of_mask(each))[..., 0] for each in levels)
        for i, doubt in doubts.items():
            other = self._levels_of(-grey[i : i + 1], scales, tile)[0]
            if finding.doubt_in(finding.average(finding.of_mask(other))[..., 0]) < doubt:
                levels[i], contrasts[i] = other, "bright"
        return list(zip(levels, contrasts, strict=True))

    def _levels_of(self, grey: np.ndarray, scales: Sequence[float], tile: int) -> list[list[Level]]:
        seen = list(self._seen(grey, scales, tile))
        return [
            finding.levels_of(each, [(scale, size, maps[i]) for scale, size, maps in seen])
            for i, each in enumerate(grey)
        ]

    def proposals(self, image: Any, scale: Scale = "auto", tile: int = TILE) -> Proposals:
        """Give all that may be a particle, see :func:`temlib.particles.proposals.propose`; as for :meth:`maps`."""
        frame = as_array(image)
        scales = finding.scales_of_proposals(frame.shape, self.scales_for(image, scale))
        ((levels, _),) = self._levels(frame[None], scales, tile)
        return finding.proposals_of(levels, frame.shape, self.threshold)

    def find(
        self,
        image: Any,
        scale: Scale = "auto",
        tile: int = TILE,
        min_confidence: float | None = None,
        **sought: Any,
    ) -> tuple[Found, np.ndarray]:
        """Find the particles of one micrograph, and say how sure each is, and in which contrast they were seen.

        Parameters
        ----------
        image, scale, tile
            See :meth:`maps`.
        min_confidence : float, optional
            Confidence in [0, 1] below which a particle is left out; by default :attr:`min_confidence`.
        **sought
            See :meth:`looking_for`.

        Returns
        -------
        Found, and the maps as :meth:`maps` gives them
        """
        this = self.with_confidence(min_confidence).looking_for(**sought).on(image)
        frame, scales = as_array(image), this.scales_for(image, scale)
        ((levels, contrast),) = this._levels(frame[None], this._scales_to_find(frame.shape, scales), tile)
        asked = [level for level in levels if level.scale in scales]
        found = this._found(levels, frame.shape).without(this.sought.marks_in(frame))
        return replace(found, contrast=contrast), finding.average(asked, frame.shape)

    def _scales_to_find(self, shape: tuple[int, int], scales: Sequence[float]) -> list[float]:
        return sorted(scales) if self._judge() is None else finding.scales_of_proposals(shape, scales)

    def _judge(self) -> Scorer | None:
        """Give the scorer, unless a size is told: then that says what is a particle."""
        return None if self.sought else self.scorer

    def _found(self, levels: list[Level], shape: tuple[int, int]) -> Found:
        least = 0.0 if self.sought and self.min_confidence is None else self.min_confidence
        found = finding.find(levels, shape, self.threshold, self._judge(), least)
        return found.kept(self.sought.keep(found.labels)) if self.sought else found

    def looking_for(
        self,
        diameter_nm: Diameter | None = None,
        diameter_px: Diameter | None = None,
        contrast: Contrast | None = None,
        marks: Marks | None = None,
    ) -> Segmenter:
        """Give the same segmenter, told what to look for; what is not given stays as it was told before.

        Parameters
        ----------
        diameter_nm, diameter_px : float or (float, float)
            Equivalent diameter of the particles, or a range of it; one of the two. It sets the scale of
            ``scale="auto"``, and what is far from it in size is no particle.
        contrast : "dark", "bright" or "auto"
            Dark particles (as they are by default) or bright ones, as in dark field; or, frame by frame, the
            contrast in which the network doubts its mask less, where it doubts; :meth:`find` says which it took.
        marks : "leave out" or "keep"
            Data bars, scale bars and letters that are burnt in are no particles (as by default), or may be
            (:func:`temlib.files.scale_bars.marks.find_marks`). To read letters, where the extra ``temlib[scalebar]``
            is installed, takes a second of a picture of 8 bits and 512 px, ten of one of 4096 px. In a stack the marks
            of its first frame are those of all.

        Raises
        ------
        ValueError
            When these make no sense; see :class:`temlib.network.sought.Sought`.
        """
        return replace(self, sought=self.sought.or_else(diameter_nm, diameter_px, contrast, marks))

    def on(self, image: Any) -> Segmenter:
        """Give the same segmenter with the diameter in pixels of an image; ValueError where that is unknown."""
        return replace(self, sought=self.sought.on(image))

    def probability(self, image: Any, scale: Scale = "auto", tile: int = TILE, **sought: Any) -> Any:
        """Give the probability of *particle* in each pixel; see :meth:`maps` and :meth:`looking_for`.

        Of a stack, frame by frame, as :meth:`__call__`.

        Returns
        -------
        float32 in [0, 1], of the image's shape; a signal with the same axes for a signal
        """
        return self.looking_for(**sought)._apply("probability", image, scale, tile)

    def __call__(self, image: Any, scale: Scale = "auto", tile: int = TILE, **sought: Any) -> Any:
        """Give the particle mask: bool, of the image's shape; a signal for a signal.

        Warns when the mask is probably wrong, where :attr:`trust` was calibrated.

        Parameters
        ----------
        image : signal or array of shape (height, width), or stack: signal of shape (..., height, width)
            Each frame of a stack is dealt with as an image of its own; axes and metadata are kept. For
            a lazy signal (``lazy=True``) the mask is lazy too: nothing is read or computed, and no
            warning given, before it is asked for, and then chunk by chunk, by any of dask's schedulers.
        scale, tile
            See :meth:`maps`.
        **sought
            ``diameter_nm`` or ``diameter_px``, ``contrast`` and ``marks``; see :meth:`looking_for`. With a diameter,
            what is far from it in size is left out of the mask.
        """
        return self.looking_for(**sought)._apply("mask", image, scale, tile)

    def particles(
        self, image: Any, scale: Scale = "auto", tile: int = TILE, min_confidence: float | None = None, **sought: Any
    ) -> Any:
        """Give each particle a number, touching ones apart; :meth:`find` also says how sure each is, and the contrast.

        Particles are looked for at every scale of ``scale``, and with ``"auto"`` at a finer one, too. Each proposal is
        judged by the :attr:`scorer`; the best come first. Where a diameter is told, that says what is a
        particle. A segmenter that learned from masks alone, which do not tell particles apart, has no scorer:
        see :func:`temlib.network.finding.find`. In a stack each frame is numbered for itself.

        Parameters
        ----------
        image, scale, tile, **sought
            See :meth:`__call__`.
        min_confidence : float, optional
            Confidence in [0, 1] below which a particle is left out; by default :attr:`min_confidence`.

        Returns
        -------
        int32 of the image's shape, 0 is background; a signal for a signal
        """
        told = self.with_confidence(min_confidence).looking_for(**sought)
        return told._apply("particles", image, scale, tile)

    def _apply(self, what: str, image: Any, scale: Scale, tile: int) -> Any:
        scales, told = self.scales_for(image, scale), self.on(image)
        if stacks.is_lazy(image):
            parcel, settings = told.parcel(), {"what": what, "scales": scales, "tile": tile}
            if what != "probability" and told.sought.marks != "keep":
                settings["marks"] = stacks.later(told.sought.marks_in, image)
            return stacks.map_chunks(image, of_chunk, RESULTS[what], what, parcel, parcel.name, **settings)
        frames = stacks.frames_of(image)
        marks = None if what == "probability" else told.sought.marks_in(frames[0])
        judge = told.warning if what == "mask" else None
        result, reasons = told.of_frames(frames, what, scales, tile, judge, marks)
        self._warn(image, reasons)
        return stacks.like(image, result.reshape(np.shape(getattr(image, "data", image))), what)

    def parcel(self) -> Parcel:
        """Give what other processes get of it (:mod:`temlib.network.workers`)."""
        return Parcel(self, load_segmenter)

    def of_frames(
        self,
        frames: np.ndarray,
        what: str,
        scales: Sequence[float],
        tile: int = TILE,
        judge: Callable[[np.ndarray], Any] | None = None,
        marks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, list[Any]]:
        """Give the result of each of some frames of one size, and what is to be said of it.

        No more than a tile's worth of frames is looked at together: the memory beyond frames and
        results is that of a tile, or of a frame where that is larger.

        Parameters
        ----------
        frames : array of shape (n, height, width)
            Grey levels.
        what : "mask", "probability" or "particles"
            Which result.
        scales : sequence of float
            From :meth:`scales_for`.
        tile : int
            See :meth:`maps`.
        judge : callable, optional
            Says something of the maps of a frame, as :meth:`warning` does; nothing is said of particles.
        marks : bool array of shape (height, width), optional
            What is burnt into the frames; no mask and no particles there.
        """
        result = np.empty(frames.shape, RESULTS[what])
        said: list[Any] = []
        together = max(1, tile**2 // (frames.shape[1] * frames.shape[2]))
        for first in range(0, len(frames), together):
            some = slice(first, first + together)
            if what == "particles":
                result[some] = self._labels(frames[some], scales, tile, marks)
                said += [None] * len(result[some])
                continue
            number = 2 if judge or self.sought else 1
            for i, maps in enumerate(self._maps(frames[some], scales, tile, number), start=first):
                result[i] = self._mask(maps) if what == "mask" else maps[..., 0]
                said.append(judge(maps) if judge else None)
        if what == "mask" and marks is not None:
            result[:, marks] = False
        return result, said

    def _mask(self, maps: np.ndarray) -> np.ndarray:
        """Give the mask; where a size is told, of the particles that have it."""
        if not self.sought:
            return maps[..., 0] > self.threshold
        return self.sought.keep(finding.find_in(maps, self.threshold, 0.0).labels) > 0

    def _labels(
        self, frames: np.ndarray, scales: Sequence[float], tile: int, marks: np.ndarray | None
    ) -> list[np.ndarray]:
        """Give the particles of each of some frames."""
        shape = frames.shape[1:]
        some = self._levels(frames, self._scales_to_find(shape, scales), tile)
        return [self._found(levels, shape).without(marks).labels for levels, _ in some]

    def _warn(self, image: Any, reasons: Sequence[str | None]) -> None:
        doubtful = [i for i, reason in enumerate(reasons) if reason]
        if not doubtful:
            return
        name = _name_of(image)
        if len(reasons) > 1:
            name = f"{name}: {len(doubtful)} of {len(reasons)} frames, the first of them {doubtful[0]}"
        warnings.warn(
            f"{name}: {reasons[doubtful[0]]}; look at the mask, "
            "pass another scale, or adapt the segmenter to a label or two of yours",
            stacklevel=4,
        )

    def expected_iou(self, probability: Any) -> float | None:
        """Give the IoU to expect of the mask of a probability map; None where that was not calibrated.

        See :mod:`temlib.network.trust`. It tells how sure the network is: it may be sure, and wrong.
        """
        return None if self.trust is None else self.trust(agreement(as_array(probability), self.threshold))

    def warning(self, maps: np.ndarray) -> str | None:
        """Say why not to trust the mask of :meth:`maps`; None where nothing speaks against it, or none was calibrated.

        See :meth:`temlib.network.trust.Trust.warning`.
        """
        return None if self.trust is None else self.trust.warning(maps, self.threshold)

    def adapt(
        self,
        images: Sequence[Any],
        masks: Sequence[Any],
        *,
        diameter_nm: Diameter | None = None,
        diameter_px: Diameter | None = None,
        contrast: Contrast | None = None,
        **options: Any,
    ) -> Segmenter:
        """Learn from a few labels of one's own; see :func:`temlib.network.learning.adapt`.

        What is looked for (:meth:`looking_for`) sets the scale and the contrast in which it learns, and the
        adapted segmenter looks for it too. If a diameter will be told later, tell it here: what learned at another
        scale finds fewer of such particles.
        """
        told = self.looking_for(diameter_nm, diameter_px, contrast)
        return learning.adapt(told, images, masks, **options)

    def with_runtime(self, runtime: str) -> Segmenter:
        """Give the same segmenter on another runtime; see :func:`temlib.network.tiling.start`."""
        taken, network = tiling.start_any(self.model, runtime)
        return replace(self, runtime=taken, _network=tiling.Started(network))

    def with_confidence(self, least: float | None) -> Segmenter:
        """Give the same segmenter with another :attr:`min_confidence`; the same where None is given.

        Raises
        ------
        ValueError
            When it is not in [0, 1].
        """
        return self if least is None else replace(self, min_confidence=in_range("min_confidence", least, 0, 1))

    def scales_for(self, image: Any, scale: Scale = "auto") -> list[float]:
        """Give the scales at which an image or the frames of a stack are looked at; see :meth:`maps`."""
        shape = stacks.frame_shape(image)
        if isinstance(scale, str):
            if scale == "auto":
                usual = auto_scales(shape)
                return self.sought.on(image).scales(self.particle_size, usual[0]) if self.sought else usual
            if scale == "calibrated":
                return [self._calibrated_scale(image)]
        elif np.size(scale) and all(np.isfinite(s) and s > 0 for s in np.atleast_1d(scale)):
            return [float(s) for s in np.atleast_1d(scale)]
        raise ValueError(f"scale={scale!r} must be 'auto', 'calibrated', a positive number or several")

    def _calibrated_scale(self, image: Any) -> float:
        size = pixel_size_of(image)
        if self.pixel_size_nm is None or size is None:
            unknown = "the image" if size is None else "training"
            raise ValueError(f"scale='calibrated', but the pixel size of {unknown} is unknown; pass 'auto' or a number")
        return float(np.sqrt(size[0] * size[1]) / self.pixel_size_nm)

    def save(self, path: str | os.PathLike, overwrite: bool = False) -> Path:
        """Write the network and its preprocessing to one ``.keras`` file.

        Raises
        ------
        SegmenterError
            When the name does not end in ``.keras``, or the file exists and ``overwrite`` is false.
        """
        path = Path(path)
        if path.suffix != ".keras":
            raise SegmenterError(f"{path}: a segmenter is saved under a name that ends in .keras")
        if path.exists() and not overwrite:
            raise SegmenterError(f"{path}: exists already; pass overwrite=True to replace it")
        metadata = {
            "particle_size": self.particle_size,
            "pixel_size_nm": self.pixel_size_nm,
            "levels": self.levels.to_dict(),
            "threshold": self.threshold,
            "history": self.history,
            "trust": self.trust and self.trust.to_dict(),
            "min_confidence": self.min_confidence,
        }

        def write(temporary: Path) -> None:
            self.model.save(temporary)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(_METADATA, json.dumps(metadata, indent=1))
                if self.scorer:
                    archive.writestr(SCORER, self.scorer.to_bytes())

        return write_atomically(path, write)


def load_segmenter(path: str | os.PathLike = DEFAULT, runtime: str = "auto") -> Segmenter:
    """Load a segmenter that :meth:`Segmenter.save` wrote; no code from the file is run.

    Parameters
    ----------
    path : path, "synthetic" or "labelled"
        A ``.keras`` file; or one of the two networks that temlib brings along: ``"synthetic"`` learned from
        synthetic micrographs alone, ``"labelled"`` (the default) went on from there, taught by real labels.
    runtime : "keras", "openvino" or "auto"
        What shall do the sums, see :func:`temlib.network.tiling.start`: OpenVINO where it is installed, else Keras.

    Raises
    ------
    SegmenterError
        When the file is missing, damaged, or no segmenter of temlib.
    """
    path = Path(CARRIED_SEGMENTERS.get(os.fspath(path), path))
    if not path.is_file():
        raise SegmenterError(f"{path}: there is no such segmenter; train one with temlib.train_segmenter and save it")
    try:
        model = read_model(path)
        with zipfile.ZipFile(path) as archive:
            settings = _settings_in(parse_json(archive.read(_METADATA))) | {"scorer": _scorer_in(archive)}
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        reason = one_line(error)
        raise SegmenterError(f"{path}: is no segmenter saved by temlib ({reason}); train and save it again") from error
    segmenter = Segmenter(model, **settings)
    return segmenter if runtime == "keras" else segmenter.with_runtime(runtime)


def carried_scorer() -> Scorer | None:
    """Give the bundled scorer, which serves other networks, too.

    The numbers by which it judges are none of a network's own. Of networks with ImageNet's encoder and 20 hand labels
    of ``emps`` it judged better than a scorer that learned from these labels, in or out of fold, and than none, with
    each of three seeds and at each confidence that was tried (tests/benchmarks/own_scorer.py).
    """
    with zipfile.ZipFile(BUNDLED) as archive:
        return _scorer_in(archive)


def _scorer_in(archive: zipfile.ZipFile) -> Scorer | None:
    return Scorer.from_bytes(archive.read(SCORER)) if SCORER in archive.namelist() else None


def _settings_in(saved: dict[str, Any]) -> dict[str, Any]:
    """Take what a segmenter is made of, besides its network, out of what its file says.

    Raises
    ------
    ValueError, KeyError or TypeError
        When something is missing, of another type, or out of range.
    """
    size, pixel_size, history = saved["particle_size"], saved["pixel_size_nm"], saved["history"]
    least = saved.get("min_confidence")
    if not isinstance(history, list) or not all(isinstance(epoch, dict) for epoch in history):
        raise ValueError("its history is no list of epochs")
    return {
        "particle_size": in_range("particle_size", size, 0.1, 1e5),
        "pixel_size_nm": None if pixel_size is None else in_range("pixel_size_nm", pixel_size, 1e-6, 1e9),
        "levels": GreyLevels(**saved["levels"]),
        "threshold": in_range("threshold", saved["threshold"], 0, 1),
        "history": history,
        "trust": Trust.from_dict(saved["trust"]) if saved.get("trust") else None,
        "min_confidence": None if least is None else in_range("min_confidence", least, 0, 1),
    }


def _name_of(image: Any) -> str:
    metadata = getattr(image, "metadata", None)
    return (metadata is not None and metadata.get_item("General.title")) or "this image"
