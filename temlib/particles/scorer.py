"""The scorer: how well a proposal is expected to agree with a particle, and how sure that is.

Boosted regression trees (Friedman, Annals of Statistics 2001, 29, 1189) on the numbers of
:mod:`temlib.particles.proposal_numbers`. They are kept as plain arrays, which NumPy alone evaluates and stores.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from temlib.particles.proposal_numbers import NUMBERS

__all__ = ["Scorer", "Trees", "fit_trees"]

_LARGEST = 2**24  # bytes, unpacked
_MOST_POINTS = 100
_TREES, _LEAVES, _RATE, _FEWEST, _SHRINK = 200, 31, 0.06, 40, 5.0
_ARRAYS = {"column": np.uint8, "threshold": np.float32, "left": np.int32, "right": np.int32, "value": np.float32}


@dataclass(frozen=True)
class Trees:
    """Regression trees whose sum is a prediction.

    Attributes
    ----------
    roots : int32 array of shape (trees,)
        Where each begins.
    column, threshold, left, right, value : arrays of shape (nodes,)
        A node goes to ``left`` where the number of its column is at most the threshold, else to ``right``, both of
        which come after it; a leaf, whose ``left`` is 0, gives its value.
    base : float
        What the sum begins with.
    """

    roots: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    base: float

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Give the prediction for each row; float64 array of shape (n,)."""
        node = np.broadcast_to(self.roots, (len(numbers), len(self.roots))).copy()
        rows = np.arange(len(numbers))[:, None]
        while (inner := self.left[node] > 0).any():
            lower = numbers[rows, self.column[node]] <= self.threshold[node]
            node = np.where(inner, np.where(lower, self.left[node], self.right[node]), node)
        return self.base + self.value[node].sum(axis=1, dtype=float)


@dataclass(frozen=True)
class Scorer:
    """Judge proposals.

    Attributes
    ----------
    trees : Trees
        Expected IoU of a proposal with a true particle, from its numbers.
    expected, confidence : tuple of float
        Points in ascending order: of the proposals that are placed with this expected IoU, so many have one above 0.5.
    least : float
        Confidence below which a particle is left out unless asked for.
    """

    trees: Trees
    expected: tuple[float, ...]
    confidence: tuple[float, ...]
    least: float = 0.5

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Give the expected IoU of each proposal."""
        return self.trees(numbers) if len(numbers) else np.zeros(0)

    def sure(self, expected: np.ndarray) -> np.ndarray:
        """Give the confidence that goes with an expected IoU; in [0, 1]."""
        return np.interp(expected, self.expected, self.confidence)

    def digest(self) -> bytes:
        """Give a sha256 of all that its judgement depends on."""
        return sha256(b"".join(array.tobytes() for array in self._arrays().values())).digest()

    def to_bytes(self) -> bytes:
        """Give all of it as the content of an ``.npz`` file."""
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **self._arrays())
        return file.getvalue()

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {name: getattr(self.trees, name).astype(kind) for name, kind in _ARRAYS.items()}
        arrays |= {"roots": self.trees.roots.astype(np.int32), "base": np.array(self.trees.base)}
        arrays |= {"expected": np.array(self.expected), "confidence": np.array(self.confidence)}
        return arrays | {"least": np.array(self.least), "numbers": np.array(NUMBERS)}

    @classmethod
    def from_bytes(cls, content: bytes) -> Scorer:
        """Read what :meth:`to_bytes` gave; no code in it is run.

        Raises
        ------
        ValueError
            When it is damaged, too large, or of other numbers than this version of temlib takes.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if sum(member.file_size for member in archive.infolist()) > _LARGEST:
                    raise ValueError(f"its scorer unpacks to more than {_LARGEST // 2**20} MiB")
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return cls._checked(arrays)
        except (KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"its scorer is damaged: {error}") from error

    @classmethod
    def _checked(cls, arrays: dict[str, np.ndarray]) -> Scorer:
        if arrays["numbers"].tolist() != list(NUMBERS):
            raise ValueError("its scorer judges by other numbers than this version of temlib: train it again")
        nodes = len(arrays["value"])
        for name, kind in _ARRAYS.items():
            if arrays[name].shape != (nodes,) or arrays[name].dtype != kind:
                raise ValueError(f"{name} of its scorer has the shape {arrays[name].shape} of {arrays[name].dtype}")
        left, right, here = arrays["left"], arrays["right"], np.arange(nodes)
        inner = left > 0
        later = (left > here) & (left < nodes) & (right > here) & (right < nodes)
        roots = arrays["roots"]
        if not nodes or (inner & ~later).any() or (left < 0).any() or (arrays["column"] >= len(NUMBERS)).any():
            raise ValueError("the trees of its scorer lead nowhere")
        if roots.dtype != np.int32 or roots.ndim != 1 or not len(roots) or roots.min() < 0 or roots.max() >= nodes:
            raise ValueError("the trees of its scorer have no roots")
        expected, confidence = (arrays[name].astype(float) for name in ("expected", "confidence"))
        base, least = float(arrays["base"]), float(arrays["least"])
        if not all(np.isfinite(some).all() for some in (arrays["threshold"], arrays["value"], expected, base)):
            raise ValueError("the numbers of its scorer are not all finite")
        if expected.shape != confidence.shape or expected.ndim != 1 or not 1 <= len(expected) <= _MOST_POINTS:
            raise ValueError("its scorer has no curve of confidence")
        if (np.diff(expected) <= 0).any() or not ((confidence >= 0) & (confidence <= 1)).all() or not 0 <= least <= 1:
            raise ValueError("the confidence of its scorer is out of range")
        trees = Trees(roots=roots, base=base, **{name: arrays[name] for name in _ARRAYS})
        return cls(trees, tuple(expected.tolist()), tuple(confidence.tolist()), least)


def fit_trees(numbers: np.ndarray, ious: np.ndarray, weights: np.ndarray, seed: int = 0) -> Trees:
    """Learn the expected IoU of proposals.

    Parameters
    ----------
    numbers : float array of shape (n, len(NUMBERS))
        Of proposals on labelled micrographs.
    ious : float array of shape (n,), in [0, 1]
        Of each proposal with the true particle that it agrees with best.
    weights : float array of shape (n,)
        How much each counts.
    seed : int
        Same seed, same trees.

    Returns
    -------
    Trees
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=_TREES,
        learning_rate=_RATE,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=_FEWEST,
        l2_regularization=_SHRINK,
        early_stopping=False,
        random_state=seed,
    )
    model.fit(numbers.astype(np.float32), ious, weights / np.mean(weights))
    return _as_arrays([tree.nodes for (tree,) in model._predictors], float(np.ravel(model._baseline_prediction)[0]))


def _as_arrays(trees: Sequence[Any], base: float) -> Trees:
    """Put scikit-learn's trees one after another, each of whose nodes come before those that they lead to."""
    starts = np.cumsum([0, *(len(nodes) for nodes in trees)])[:-1]
    nodes, start = np.concatenate(trees), np.repeat(starts, [len(each) for each in trees])
    leaf = nodes["is_leaf"].astype(bool)
    arrays = {
        "column": np.where(leaf, 0, nodes["feature_idx"]),
        "threshold": np.where(leaf, 0, _rounded_down(nodes["num_threshold"])),
        "left": np.where(leaf, 0, start + nodes["left"]),
        "right": np.where(leaf, 0, start + nodes["right"]),
        "value": np.where(leaf, nodes["value"], 0),
    }
    typed = {name: arrays[name].astype(kind) for name, kind in _ARRAYS.items()}
    return Trees(roots=starts.astype(np.int32), base=base, **typed)


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """Give the largest numbers of single precision that are not above: what is compared is of single precision, too."""
    nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)
