"""Damaged files, and a trial of each in a process of its own, with little memory and little time."""

import multiprocessing
import pickle
import resource
import struct
import sys
import traceback
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

SECONDS, MEMORY = 10, 2**31
SUFFIXES = (".png", ".jpg", ".tif", ".bmp", ".dm3", ".dm4", ".emd", ".emi", ".ser", ".mrc", ".hspy", ".h5", ".nxs")


@dataclass
class Case:
    """A damaged file: what was done to it, and its content."""

    kind: str
    source: Path | None
    suffix: str
    content: bytes


@dataclass
class Outcome:
    """What came of loading: shape and pixel size, or the refusal, or what should not be."""

    verdict: str  # "read", "refused", "error", "crash", "hang"
    message: str = ""
    shape: tuple[int, ...] = ()
    size: tuple[float, float] | None = None
    sum: float = 0.0


def damage(source: Path, shape: tuple[int, ...], seed: int) -> Iterator[Case]:
    """Damage a file in every way."""
    whole, rng = source.read_bytes(), np.random.default_rng(seed)

    def case(kind: str, content: bytes, suffix: str = source.suffix) -> Case:
        return Case(kind, source, suffix, bytes(content))

    lengths = [0, 1, 16, 200, len(whole) // 4, len(whole) // 2, len(whole) * 99 // 100, len(whole) - 1]
    for length in lengths:
        yield case("truncated", whole[:length])
    for number, until in (
        (1, 64),
        (1, 2048),
        (1, 16384),
        (8, 4096),
        (8, len(whole)),
        (64, len(whole)),
        (512, len(whole)),
    ):
        spoilt = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, min(until, len(whole)), number)
        spoilt[places] ^= (1 << rng.integers(0, 8, number)).astype(np.uint8)
        yield case("bits flipped", spoilt.tobytes())
    for fill in (b"\0", b"\xff"):
        for start in (0, int(rng.integers(0, max(len(whole) - 512, 1)))):
            yield case("block overwritten", whole[:start] + fill * 512 + whole[start + 512 :])
    yield case("zero bytes", bytes(len(whole)))
    place = int(rng.integers(1, len(whole)))
    yield case("shifted", whole[:place] + b"\0" + whole[place:])
    yield case("shifted", whole[:place] + whole[place + 3 :])
    for suffix in rng.permutation([suffix for suffix in SUFFIXES if suffix != source.suffix])[:3].tolist():
        yield case("wrong extension", whole, suffix)
    yield from _huge(case, whole, shape)


def _huge(case, whole: bytes, shape: tuple[int, ...]) -> Iterator[Case]:
    """Let the file declare edges that no image has, wherever its header names its own."""
    found = 0
    for edge in dict.fromkeys(shape):
        for code, large in (("<Q", 2**40), ("<I", 2**31 - 1), (">I", 2**31 - 1), ("<H", 2**16 - 1)):
            place = whole[:4096].find(struct.pack(code, edge))
            if place >= 0 and found < 4:
                found += 1
                patch = struct.pack(code, large)
                yield case("huge declared size", whole[:place] + patch + whole[place + len(patch) :])


def no_images(seed: int) -> Iterator[Case]:
    """Give files that are no images, under the name of every format."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../escaped", "x")
    contents = (
        b"particles, in words\n" * 50,
        np.random.default_rng(seed).bytes(5000),
        packed.getvalue(),
        b"<!doctype html><html><body>404 Not Found</body></html>",
        pickle.dumps({"image": [1, 2, 3]}),
    )
    for suffix in SUFFIXES:
        for content in contents:
            yield Case("no image", None, suffix, content)


def try_all(cases: list[Case], folder: Path) -> list[Outcome]:
    """Load each file in a process of its own that may take so long and so much memory."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["temlib.files.micrographs", "hyperspy.api", "temlib.files.hdf5.nexus", "tifffile", "hdf5plugin"]
    )
    outcomes = []
    for number, case in enumerate(cases):
        path = folder / f"case_{number}{case.suffix}"
        path.write_bytes(case.content)
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_load, args=(str(path), sender))
        process.start()
        sender.close()
        try:
            outcome = receiver.recv() if receiver.poll(SECONDS + 5) else Outcome("hang")  # 5 s to start
        except EOFError:
            process.join()
            outcome = Outcome("crash", f"exit code {process.exitcode}")
        process.kill()
        process.join()
        path.unlink()
        outcomes.append(outcome)
    return outcomes


def _load(path: str, sender) -> None:
    """Load one file, as a process that is told the result of only by what it sends."""
    import faulthandler
    import signal
    import warnings

    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    signal.alarm(SECONDS)
    import temlib

    try:
        image = temlib.load_micrograph(path)
        total = float(np.sum(np.nan_to_num(np.asarray(image.data, dtype=float))))
        sender.send(Outcome("read", "", image.data.shape, temlib.pixel_size_of(image), total))
    except temlib.MicrographError as error:
        sender.send(Outcome("refused", str(error)))
    except BaseException:
        sender.send(Outcome("error", traceback.format_exc()[-800:]))
    sys.stdout.flush()
