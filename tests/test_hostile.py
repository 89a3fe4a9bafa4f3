"""Everything that temlib reads, damaged and hostile: no code runs, nothing hangs, crashes, takes 4 GB or many words."""

import collections
import sys

import numpy as np
import pytest
from PIL import Image

import temlib
from temlib.jobs.batch import segment_files
from tests import hostile
from tests.damage import damage
from tests.doors import Input, Watched

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits, which Windows does not have")
NAMES = ("a", "case_", "labels", "out", "runs")


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    process = Watched(tmp_path_factory.mktemp("words") / "log")
    yield process
    process.end()


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """What a batch of one micrograph writes."""
    folder = tmp_path_factory.mktemp("batch")
    Image.fromarray(hostile.GREY).save(folder / "a.png")
    segment_files([folder / "a.png"], folder / "out", temlib.load_segmenter(), progress=False, scale_bar=False)
    for path in (folder / "out").iterdir():
        hostile.BATCH[path.name] = path.read_bytes()


def open_all(inputs, watched, folder):
    """Open inputs one after the other; give how many had which outcome, by door."""
    wrong, counts = [], collections.Counter()
    for number, each in enumerate(inputs):
        place = folder / f"case_{number}"
        place.mkdir()
        each.make(place)
        outcome = watched.open(each.door, place)
        counts[each.door, outcome.verdict] += 1
        good = outcome.verdict in ("read", "refused") and not outcome.noise
        said = outcome.verdict != "refused" or (
            len(outcome.message.splitlines()) == 1 and any(map(outcome.message.__contains__, NAMES))
        )
        if not good or not said or list(folder.rglob("ran*")):
            wrong.append((each.door, each.name, outcome))
        for ran in folder.rglob("ran*"):
            ran.unlink()
    assert not wrong, "\n".join(map(str, wrong))
    return counts


def damaged(folder):
    """Damage one file of each kind in every way, and what a batch and a painter keep."""
    for i, (name, (door, path)) in enumerate(hostile.plain_files(folder).items()):
        seeds = (i,) if door in ("network", "weights") else (i, 100 + i)
        for j, case in enumerate(case for seed in seeds for case in damage(path, hostile.SHAPE, seed)):
            suffix = case.suffix if case.suffix != path.suffix else "".join(path.suffixes)
            yield Input(door, f"{name}: {case.kind} {j}", hostile.written(f"a{suffix}", case.content))
            if door == "micrograph" and j % 2:
                yield Input("lazy", f"{name}: {case.kind} {j}", hostile.written(f"a{suffix}", case.content))
    (folder / "painted").mkdir()
    record = hostile.painted(folder / "painted")
    for j, case in enumerate(damage(record, (), 300)):
        yield Input("strokes", f"strokes: {case.kind} {j}", hostile._record(case.content))
    for i, name in enumerate(("settings.json", "micrographs.csv", "particles.csv")):
        path = folder / name
        path.write_bytes(hostile.BATCH[name])
        for j, case in enumerate(damage(path, (), 200 + i)):
            yield Input("batch", f"{name}: {case.kind} {j}", hostile._in_batch(name, case.content))


@pytest.mark.slow
@pytest.mark.usefixtures("batch")
def test_a_sample_is_refused_in_one_line_or_read(watched, tmp_path):
    every = [*damaged(tmp_path / "good"), *hostile.all_hostile()]
    some = np.random.default_rng(0).choice(len(every), 24, replace=False)
    assert open_all([every[i] for i in some], watched, tmp_path).total() == 24


@pytest.mark.slow
@pytest.mark.usefixtures("batch")
def test_hundreds_of_hostile_inputs(watched, tmp_path):
    assert open_all(hostile.all_hostile(), watched, tmp_path).total() > 200


@pytest.mark.slow
@pytest.mark.usefixtures("batch")
def test_a_thousand_damaged_inputs(watched, tmp_path):
    assert open_all(damaged(tmp_path / "good"), watched, tmp_path).total() > 1000
