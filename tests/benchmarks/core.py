"""How fast does the network learn and predict, and how much memory does it take?

Beside ours: ours without cached features, the network of TensorFlow's tutorial on the same encoder,
and segmentation_models_pytorch's Unet(mobilenet_v2) where it is installed. Three tables:

- milliseconds per image, in one process each: of training (windows of 256 x 256 in batches of eight;
  for ours all that training costs, encoding included, over the images that the decoders saw), and
  of prediction at 256 x 256;
- seconds from twenty hand labels of ``emps`` to a mean IoU of 0.80 on sixteen validation
  micrographs: every network gets the same 160 views, loss, batches and at most 12 passes. Scoring
  is not counted, and nothing is chosen by it;
- megapixels per second and peak memory at 256 to 4096 px (scale 1, three decoders), through Keras
  and OpenVINO, each in a process of its own.

Times are the least of several. Needs TEMLIB_DATA (or a network) and ImageNet weights; a quarter of
an hour on two cores. Writes core.csv and training_speed.csv in temlib/data/measured.

    python -m tests.benchmarks.core
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from temlib.reproduction.run_folder import MEASURED

TARGET, SEED, LABELS, SCORED = 0.80, 2023, 20, 16
VIEWS, EPOCHS, BATCH, PATIENCE_S = 8, 12, 8, 300
REPEATS = {256: 12, 512: 8, 2048: 2, 4096: 1}
NETWORKS = ("ours", "ours, one decoder", "ours, without cache", "tutorial decoder", "smp Unet(mobilenet_v2)")

Pairs = tuple[list, list]


def main() -> None:
    """Run the benchmark, write and print its tables."""
    if len(sys.argv) > 1:
        print(json.dumps(globals()[sys.argv[1]](*json.loads(sys.argv[2]))))
        return
    write_speeds()
    write_curves()


def write_speeds() -> None:
    """Write milliseconds per image, and what each size takes."""
    rows = [{"network": name} | found for name in NETWORKS if (found := apart("per_image", name))]
    sizes = [(runtime, edge) for edge in REPEATS for runtime in ("keras", "openvino")]
    rows += [{"network": f"ours, {r}", "edge": e} | found for r, e in sizes if (found := apart("prediction", r, e))]
    table = pd.DataFrame(rows)
    table.to_csv(MEASURED / "core.csv", index=False, float_format="%.4g")
    print(table.to_string())


def write_curves() -> None:
    """Write the IoU over the seconds of training."""
    curves = [row for name in NETWORKS[:4] for row in apart("curve", name)]
    table = pd.DataFrame(curves)
    table.to_csv(MEASURED / "training_speed.csv", index=False, float_format="%.4g")
    print(summary(table))


def apart(measure: str, *arguments: object) -> list | dict | None:
    """Call a function of this module in a process of its own; give None where it cannot be done."""
    command = [sys.executable, "-m", "tests.benchmarks.core", measure, json.dumps(arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(result.stdout.splitlines()[-1]) if result.returncode == 0 else None
    print(measure, *arguments, found if result.returncode == 0 else result.stderr.strip()[-200:], flush=True)
    return found


def summary(curves: pd.DataFrame) -> pd.DataFrame:
    """Give, for each network, its last IoU and the seconds to the target."""
    networks = curves.groupby("network", sort=False)
    table = networks.agg(last_iou=("iou", "last"), seconds=("seconds", "last"))
    reached = curves[curves["iou"] >= TARGET].groupby("network", sort=False)["seconds"].min()
    return table.assign(**{f"seconds to {TARGET:.2f}": reached, "times ours": reached / reached.get("ours", np.nan)})


def per_image(name: str) -> dict[str, float]:
    """Milliseconds per image of training and of prediction."""
    if name.startswith("smp"):
        return smp_per_image()
    noise = np.random.default_rng(0).normal(size=(VIEWS * LABELS, 256, 256)).astype(np.float32)
    labelled = list(noise[:LABELS]), [image > 1 for image in noise[:LABELS]]
    if name in ("ours", "ours, one decoder"):
        start = time.perf_counter()
        segmenter = train_cached(labelled, name)
        training = (time.perf_counter() - start) / (VIEWS * LABELS * EPOCHS)
        model = segmenter.model
    else:
        model = build(name)
        grey, truth = windows(labelled)
        times = []
        train(model, grey, truth, lambda: times.append(time.perf_counter()), epochs=3)
        training = min(np.diff(times)) / len(grey)
    return {"training_ms": 1e3 * training, "prediction_ms": 1e3 * predicted(model, "keras", 256)}


def predicted(model: object, runtime: str, edge: int) -> float:
    """Seconds of one prediction at native resolution."""
    from temlib.network.segmenter import Segmenter

    segmenter = Segmenter(model).with_runtime(runtime)
    rng = np.random.default_rng(0)
    segmenter(rng.normal(size=(64, 64)), scale=1.0)
    return fastest(segmenter, rng.normal(size=(edge, edge)).astype(np.float32), REPEATS[edge])


def fastest(call: Callable, image: np.ndarray, repeats: int) -> float:
    """Seconds of the fastest of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call(image, scale=1.0)
        times.append(time.perf_counter() - start)
    return min(times)


def prediction(runtime: str, edge: int) -> dict[str, float]:
    """Megapixels per second and peak memory [GB] of ours, with three decoders of random weights."""
    from temlib.network import unet

    encoder = unet.encoder(None)
    channels = [output.shape[-1] for output in encoder.outputs]
    model = unet.unet(encoder, *(unet.decoder(channels, seed=i, name=f"decoder_{i}") for i in range(3)))
    seconds = predicted(model, runtime, edge)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"prediction_ms": 1e3 * seconds, "megapixels_per_s": edge**2 / 1e6 / seconds, "memory_gb": memory}


def curve(name: str) -> list[dict[str, float | str]]:
    """Validation IoU after each pass, and the seconds until then."""
    from temlib.network import training
    from temlib.network.backend import start_keras
    from temlib.network.segmenter import Segmenter
    from temlib.particles.scores import iou

    start_keras()
    labelled, validation = pairs("train", LABELS), pairs("validation", SCORED)
    rows, paused, start = [], 0.0, time.perf_counter()

    def score(segmenter: Segmenter) -> bool:
        nonlocal paused
        before = time.perf_counter()
        seconds = before - start - paused
        mean = float(np.mean([iou(segmenter(i), m) for i, m in zip(*validation, strict=True)]))
        rows.append({"network": name, "seconds": round(seconds, 2), "iou": round(mean, 4)})
        paused += time.perf_counter() - before
        return seconds > PATIENCE_S

    if name in ("ours", "ours, one decoder"):
        training.scored = lambda segmenter, _: {"stopped": score(segmenter)}
        train_cached(labelled, name)
    else:
        model, (grey, truth) = build(name), windows(labelled)
        segmenter = Segmenter(model)
        train(model, grey, truth, lambda: score(segmenter))
    return rows


def train_cached(labelled: Pairs, name: str) -> object:
    """Train ours as users do."""
    import temlib

    decoders = 1 if "one decoder" in name else 3
    return temlib.train_segmenter(*labelled, weights="imagenet", decoders=decoders, seed=SEED, progress=False)


def build(name: str) -> object:
    """Build a network that is trained from the pixels on, without cached features."""
    from tests.benchmarks import rivals

    return rivals.tutorial() if name == "tutorial decoder" else rivals.ours()


def train(model: object, grey: np.ndarray, truth: np.ndarray, after: Callable, epochs: int = EPOCHS) -> None:
    """Train from the pixels on, with the learning rate that each network was published with."""
    from tests.benchmarks import rivals

    rate = 1e-3 if model.name == "tutorial" else 2e-3
    rivals.train(model, lambda _: (grey, truth), epochs, rate, lambda _: after())


def pairs(split: str, n: int) -> Pairs:
    """Draw micrographs of a split of emps, and their labels."""
    from temlib import datasets

    names = datasets.table("emps").query("split == @split")["name"].to_numpy()
    drawn = datasets.load("emps", list(np.random.default_rng(SEED).choice(names, n, replace=False)))
    return [m.image for m in drawn], [m.labels for m in drawn]


def windows(labelled: Pairs, views: int = VIEWS, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Make the views that every network gets."""
    from temlib.files.grey_levels import GreyLevels
    from temlib.files.micrographs import as_array
    from temlib.network import training
    from temlib.network.augmentation import Augmentation, scale_for

    factors = [scale_for(as_array(m) != 0, 64) for m in labelled[1]]
    some, truth = training.windows_of(*labelled, factors, views, 256, GreyLevels(), Augmentation(), seed)
    grey = np.stack(list(some))
    return grey[..., None], np.stack(truth)


def smp_per_image() -> dict[str, float]:
    """Milliseconds per image of segmentation_models_pytorch, its encoder frozen as ours is."""
    import segmentation_models_pytorch as smp
    import torch

    torch.set_num_threads(2)
    model = smp.Unet("mobilenet_v2", encoder_weights=None, in_channels=3, classes=2)
    model.encoder.requires_grad_(False)
    optimiser = torch.optim.Adam(model.decoder.parameters())

    def step(images: torch.Tensor) -> None:
        optimiser.zero_grad()
        model(images).square().mean().backward()
        optimiser.step()

    def predict(image: torch.Tensor) -> None:
        with torch.inference_mode():
            model(image)

    def least(call: Callable, images: torch.Tensor) -> float:
        times = []
        for _ in range(8):
            start = time.perf_counter()
            call(images)
            times.append(time.perf_counter() - start)
        return 1e3 * min(times) / len(images)

    training = least(step, torch.rand(BATCH, 3, 256, 256))
    model.eval()
    return {"training_ms": training, "prediction_ms": least(predict, torch.rand(1, 3, 256, 256))}


if __name__ == "__main__":
    main()
