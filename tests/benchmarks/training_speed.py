"""How soon does a network segment well? Seconds from twenty hand labels to a mean IoU of 0.80.

Twenty micrographs of emps' training split, scored on sixteen of its validation split, no article in
both; nothing is learned or chosen from those but the moment to stop the clock, and scoring is not
counted. Every network gets the same 160 views (windows of 256 x 256 pixels), the same loss, batches
of 8 and at most 12 passes; its learning rate is that which it was published with. Who is not there
after five minutes is stopped. Then, for ours, where the time goes.

Needs TEMLIB_DATA (or a network) and ImageNet weights; half an hour on two cores. Writes
temlib/data/measured/training_speed.csv. Where segmentation_models_pytorch is installed, the time of a
training step of its Unet(mobilenet_v2) is printed as well.

    python -m tests.benchmarks.training_speed
"""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

import temlib
from temlib import datasets, training, unet
from temlib.backend import start_keras
from temlib.features import cached_features
from temlib.micrographs import GreyLevels
from temlib.runs import MEASURED
from temlib.scores import iou
from temlib.segmentation import Segmenter
from temlib.views import Augmentation, scale_for

TARGET, SEED, LABELS, SCORED = 0.80, 2023, 20, 16
VIEWS, EPOCHS, PATIENCE_S = 8, 12, 300

Pairs = tuple[list, list]


class Clock:
    """Seconds since the start, scoring left out, and the validation IoU at several of them."""

    def __init__(self, validation: Pairs) -> None:
        """Start."""
        self.validation, self.points = validation, []
        self.start, self.paused = time.perf_counter(), 0.0

    def score(self, segmenter: Segmenter) -> bool:
        """Score, and say whether to stop."""
        before = time.perf_counter()
        seconds = before - self.start - self.paused
        mean = float(np.mean([iou(segmenter(i), m) for i, m in zip(*self.validation, strict=True)]))
        self.points.append((seconds, mean))
        self.paused += time.perf_counter() - before
        return seconds > PATIENCE_S


def pairs(split: str, n: int) -> Pairs:
    """Draw micrographs of a split and their labels."""
    names = datasets.table("emps").query("split == @split")["name"].to_numpy()
    drawn = datasets.load("emps", list(np.random.default_rng(SEED).choice(names, n, replace=False)))
    return [m.image for m in drawn], [m.labels for m in drawn]


def windows(labelled: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Make the views that every network gets."""
    factors = [scale_for(m.data != 0, 64) for m in labelled[1]]
    truth: list[np.ndarray] = []
    options = (256, GreyLevels(), Augmentation(), SEED)
    grey = np.stack(list(training._windows(*labelled, factors, truth, VIEWS, *options)))
    return grey[..., None], np.stack(truth)


def cached(labelled: Pairs, clock: Clock) -> None:
    """Train ours as users do, stopping the clock at each epoch."""
    scored = training._scored
    training._scored = lambda segmenter, _: {"stopped": clock.score(segmenter)}
    temlib.train_segmenter(*labelled, weights="imagenet", validation=labelled, seed=SEED, progress=False)
    training._scored = scored


def from_pixels(build: Callable, rate: float) -> Callable[[Pairs, Clock], None]:
    """Give the function that trains a network on pixels, without cached features."""

    def run(labelled: Pairs, clock: Clock) -> None:
        from tests.benchmarks import rivals

        model, views = build(), windows(labelled)
        segmenter = Segmenter(model)
        rivals.train(model, lambda _: views, EPOCHS, rate, lambda _: clock.score(segmenter))

    return run


def networks() -> dict[str, Callable[[Pairs, Clock], None]]:
    """Give what is compared, by name."""
    from tests.benchmarks import rivals

    return {
        "ours": cached,
        "ours without cache": from_pixels(rivals.ours, 2e-3),
        "tutorial decoder": from_pixels(rivals.tutorial, 1e-3),
        "U-Net (width 64), random": from_pixels(rivals.classic_unet, 1e-3),
    }


def where_time_goes(labelled: Pairs) -> pd.DataFrame:
    """Take the training of ours apart [s]."""
    seconds = {}

    def lap(what: str) -> None:
        nonlocal last
        seconds[what] = time.perf_counter() - last
        last = time.perf_counter()

    last = time.perf_counter()
    grey, truth = windows(labelled)
    lap("make 160 views")
    encoder = unet.encoder("imagenet")
    decoder = unet.decoder([output.shape[-1] for output in encoder.outputs])
    lap("build the network")
    with cached_features(encoder, grey[..., 0], len(grey), progress=False) as features:
        lap("encode them once")
        decoder.compile("adam", loss=training.cross_entropy_and_dice, jit_compile=False)
        for epoch in range(EPOCHS):
            for batch in np.array_split(np.arange(len(grey)), len(grey) // 8):
                decoder.train_on_batch([maps[batch] for maps in features], truth[batch])
            if epoch == 0:
                lap("first pass of the decoder (traces its graph)")
        lap(f"the other {EPOCHS - 1} passes")
    return pd.DataFrame({"seconds": seconds, "share": pd.Series(seconds) / sum(seconds.values())})


def smp_step() -> float | None:
    """Give the milliseconds per image of a training step of smp's Unet(mobilenet_v2), where installed."""
    try:
        import segmentation_models_pytorch as smp
        import torch
    except ImportError:
        return None
    torch.set_num_threads(2)
    model = smp.Unet("mobilenet_v2", encoder_weights=None, in_channels=3, classes=2)
    optimiser = torch.optim.Adam(model.parameters())
    times = []
    for _ in range(6):
        start = time.perf_counter()
        loss = model(torch.rand(8, 3, 256, 256)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        times.append((time.perf_counter() - start) / 8)
    return 1e3 * min(times)


def main() -> None:
    """Run the benchmark and print its tables."""
    start = time.perf_counter()
    start_keras()
    print(f"start TensorFlow: {time.perf_counter() - start:.1f} s, not counted below")
    labelled, validation = pairs("train", LABELS), pairs("validation", SCORED)
    rows = []
    for name, train in networks().items():
        clock = Clock(validation)
        train(labelled, clock)
        rows += [{"network": name, "seconds": s, "iou": v} for s, v in clock.points]
        pd.DataFrame(rows).to_csv(MEASURED / "training_speed.csv", index=False, float_format="%.4f")
        print(name, [(round(s), round(v, 3)) for s, v in clock.points], flush=True)
    table = pd.DataFrame(rows)
    reached = table[table["iou"] >= TARGET].groupby("network", sort=False)["seconds"].min()
    summary = table.groupby("network", sort=False).agg(best=("iou", "max"), seconds=("seconds", "max"))
    summary[f"seconds to {TARGET:.2f}"] = reached
    summary["times ours"] = reached / reached["ours"]
    print(summary.round(3).to_string())
    print(where_time_goes(labelled).round(2).to_string())
    step = smp_step()
    print("segmentation_models_pytorch: " + ("not installed" if step is None else f"{step:.0f} ms per training image"))


if __name__ == "__main__":
    main()
