"""The state of a training after each epoch, in a file of numbers: what was stopped goes on where it was."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.errors import SegmenterError, one_line
from temlib.files.json_files import parse_json
from temlib.files.micrographs import as_array
from temlib.writing import write_atomically

if TYPE_CHECKING:
    import keras

__all__ = ["Checkpoint", "training_fingerprint"]

_TRAINING, _HISTORY = "training", "history"
_LARGEST = 2**31  # bytes, unpacked: weights, and what the optimiser remembers of each


@dataclass(frozen=True)
class Checkpoint:
    """A file that keeps the state of one training.

    Attributes
    ----------
    path : Path
        An ``.npz`` file; nothing in it is unpickled.
    training : str
        What is learned from and how, see :func:`training_fingerprint`: another training does not go on from here.
    """

    path: Path
    training: str

    def keep(self, learners: Sequence[keras.Model], history: list[dict[str, float]]) -> None:
        """Write the state after the last epoch of a history, in place of that after the one before."""
        state: dict[str, Any] = {name: np.asarray(variable) for name, variable in _variables(learners).items()}
        state |= {_TRAINING: np.array(self.training), _HISTORY: np.array(json.dumps(history))}

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez(file, **state)

        write_atomically(self.path, write)

    def restore(self, learners: Sequence[keras.Model]) -> list[dict[str, float]]:
        """Bring learners to the state that was kept, where there is one, and give the history until then.

        Raises
        ------
        SegmenterError
            When the file is damaged, or of another training.
        """
        if not self.path.exists():
            return []
        variables = _variables(learners)
        try:
            training, history, arrays = self._read(variables)
        except Exception as error:  # numpy's and zip's, of what is no npz
            reason = one_line(error, 120)
            raise SegmenterError(f"{self.path}: is no state of a training ({reason}); delete it") from error
        if training != self.training:
            raise SegmenterError(
                f"{self.path}: is the state of another training (other micrographs, labels or settings); "
                "delete it, or name another file"
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])
        return history

    def _read(self, variables: dict[str, Any]) -> tuple[str, list[dict[str, float]], dict[str, np.ndarray]]:
        """Read the name of the training and its history, and where it is this one the state of each variable."""
        with zipfile.ZipFile(self.path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST:
                raise ValueError(f"it unpacks to more than {_LARGEST // 2**20} MiB")
        with np.load(self.path, allow_pickle=False) as kept:
            training, history = str(kept[_TRAINING]), parse_json(str(kept[_HISTORY]).encode(), kind=list)
            arrays = {name: kept[name] for name in variables} if training == self.training else {}
        for name, array in arrays.items():
            if array.shape != tuple(variables[name].shape) or array.dtype.kind not in "fiu":
                raise ValueError(f"its part {name} has shape {array.shape} and numbers of type {array.dtype}")
        return training, history, arrays


def training_fingerprint(
    images: Iterable[Any], masks: Iterable[Any], weights: Iterable[np.ndarray], **settings: Any
) -> str:
    """Give a sha256 of what is learned from, of the weights at the beginning, and of the settings."""
    digest = sha256(json.dumps(settings, sort_keys=True, default=repr).encode())
    for array in (*map(as_array, images), *map(as_array, masks), *weights):
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _variables(learners: Sequence[keras.Model]) -> dict[str, Any]:
    """Name all that changes in training: weights, and what the optimiser remembers."""
    return {
        f"{i}_{j}": variable
        for i, learner in enumerate(learners)
        for j, variable in enumerate([*learner.weights, *learner.optimizer.variables])
    }
