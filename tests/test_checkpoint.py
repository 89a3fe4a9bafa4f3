"""Training that is stopped goes on, and ends as if it had not been."""

import numpy as np
import pytest

import temlib
from temlib.network import training
from temlib.network.checkpoint import Checkpoint, training_fingerprint

SETTINGS = {
    "weights": None,
    "alpha": 0.25,
    "target_size": 24,
    "window": 64,
    "views": 2,
    "decoders": 1,
    "batch_size": 3,
    "epochs": 4,
    "seed": 5,
    "progress": False,
}


def test_a_stopped_training_ends_as_one_that_was_not(dark_discs, tmp_path, monkeypatch):
    uninterrupted = temlib.train_segmenter(*dark_discs, **SETTINGS)
    keep = training.Checkpoint.keep

    def keep_and_stop(self, learners, history):
        keep(self, learners, history)
        if len(history) == 2:
            raise KeyboardInterrupt  # in place of a power cut

    monkeypatch.setattr(training.Checkpoint, "keep", keep_and_stop)
    with pytest.raises(KeyboardInterrupt):
        temlib.train_segmenter(*dark_discs, checkpoint=tmp_path / "state.npz", **SETTINGS)
    monkeypatch.setattr(training.Checkpoint, "keep", keep)
    resumed = temlib.train_segmenter(*dark_discs, checkpoint=tmp_path / "state.npz", **SETTINGS)
    assert [row["epoch"] for row in resumed.history] == [1, 2, 3, 4]
    for a, b in zip(uninterrupted.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # sums in threads are not the same to the last bit


def test_the_state_of_another_training_and_a_damaged_one_are_refused(dark_discs, tmp_path):
    path = tmp_path / "state.npz"
    quick = SETTINGS | {"epochs": 1}
    temlib.train_segmenter(*dark_discs, checkpoint=path, **quick)
    with pytest.raises(temlib.TemlibError, match=r"state\.npz: is the state of another training .*; delete it"):
        temlib.train_segmenter(*dark_discs, checkpoint=path, **quick | {"learning_rate": 1e-4})
    np.save(tmp_path / "array.npy", np.zeros(3))
    damaged = path.read_bytes()[:-100], b"no numbers", b"", (tmp_path / "array.npy").read_bytes()
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(temlib.TemlibError, match=r"state\.npz: is no state of a training"):
            Checkpoint(path, "a").restore([])


def test_a_fingerprint_hangs_on_every_pixel_label_and_setting():
    image, mask, weights = np.zeros((4, 5)), np.zeros((4, 5), bool), [np.zeros(3)]
    first = training_fingerprint([image], [mask], weights, epochs=2)
    assert first == training_fingerprint([image.copy()], [mask.copy()], weights, epochs=2)
    others = [
        training_fingerprint([image + np.eye(4, 5)], [mask], weights, epochs=2),
        training_fingerprint([image], [mask | (image == 0)], weights, epochs=2),
        training_fingerprint([image], [mask], [np.ones(3)], epochs=2),
        training_fingerprint([image], [mask], weights, epochs=3),
        training_fingerprint([image.reshape(5, 4)], [mask.reshape(5, 4)], weights, epochs=2),
    ]
    assert len({first, *others}) == 6
