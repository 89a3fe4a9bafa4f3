"""One code path: an image, a stack in memory, a lazy stack."""

import subprocess
import sys
import warnings

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

import temlib
from temlib.files.micrographs import micrograph
from temlib.network import tiling
from tests.conftest import ROOT, disc

SHAPE, FRAMES = (96, 128), 7
SCALE = (1.0, 2.0)


def movie_of(frames):
    axes = [
        {"name": "time", "size": frames.shape[0], "scale": 0.25, "offset": 3.0, "units": "s", "navigate": True},
        {"name": "y", "size": frames.shape[1], "scale": 0.5, "units": "nm", "navigate": False},
        {"name": "x", "size": frames.shape[2], "scale": 0.5, "units": "nm", "navigate": False},
    ]
    metadata = {"General": {"title": "a movie"}, "Acquisition_instrument": {"TEM": {"beam_energy": 300.0}}}
    return hs.signals.Signal2D(frames, axes=axes, metadata=metadata)


@pytest.fixture(scope="module")
def segmenter():
    return temlib.load_segmenter()


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    positions = [(30 + 3 * i, 40 + 5 * i) for i in range(FRAMES)]
    clean = np.stack([1000 - 400 * (disc(SHAPE, p, 14) | disc(SHAPE, (70, 100), 12)) for p in positions])
    return (clean + rng.normal(0, 40, clean.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def one_by_one(segmenter, frames):
    """What each frame gives as an image of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images = [micrograph(frame, 0.5) for frame in frames]
        names = ("probability", "particles", "__call__")
        return {name: np.stack([getattr(segmenter, name)(i, SCALE).data for i in images]) for name in names}


class Counted:
    """A file that counts how often each of its frames is read."""

    def __init__(self, frames):
        self.frames, self.shape, self.dtype, self.ndim = frames, frames.shape, frames.dtype, frames.ndim
        self.reads = np.zeros(len(frames), int)

    def __getitem__(self, index):
        self.reads[index[0]] += 1
        return self.frames[index]


def lazy(frames, chunks=(3, *SHAPE)):
    return movie_of(da.from_array(frames, chunks=chunks)).as_lazy()


@pytest.mark.parametrize("name", ["probability", "particles", "__call__"])
@pytest.mark.filterwarnings("ignore:.*expect an IoU")
def test_a_stack_gives_what_its_frames_give(segmenter, frames, one_by_one, name):
    for movie in (movie_of(frames), lazy(frames), lazy(frames, (2, 48, 50))):
        result = getattr(segmenter, name)(movie, SCALE)
        assert result._lazy == movie._lazy
        assert result.data.dtype == one_by_one[name].dtype
        found = np.asarray(result.data)
        if name == "probability":
            np.testing.assert_allclose(found, one_by_one[name], atol=1e-5)
        else:
            assert (found != one_by_one[name]).mean() < 1e-4
    assert one_by_one["__call__"].any(axis=(1, 2)).all()


@pytest.mark.filterwarnings("ignore:.*expect an IoU")
def test_axes_and_metadata_are_kept(segmenter, frames):
    for movie in (movie_of(frames), lazy(frames)):
        mask = segmenter(movie, 1.0)
        assert mask.axes_manager.as_dictionary() == movie.axes_manager.as_dictionary()
        assert mask.metadata.Acquisition_instrument.TEM.beam_energy == 300.0
        assert mask.metadata.General.title == "mask"
        assert movie.metadata.General.title == "a movie"


def test_a_lazy_image_gives_a_lazy_mask(segmenter, frames, one_by_one):
    image = micrograph(da.from_array(frames[0], chunks=50), 0.5).as_lazy()
    mask = segmenter(image, SCALE)
    assert mask._lazy
    assert temlib.pixel_size_of(mask) == (0.5, 0.5)
    assert (np.asarray(mask.data) != one_by_one["__call__"][0]).mean() < 1e-4


def test_maps_of_several_navigation_axes(segmenter, frames, one_by_one):
    grid = hs.signals.Signal2D(frames[:6].reshape(2, 3, *SHAPE))
    assert segmenter.probability(grid, SCALE).data.shape == (2, 3, *SHAPE)
    lazily = segmenter.probability(grid.as_lazy(), SCALE).data.compute()
    np.testing.assert_allclose(lazily.reshape(6, *SHAPE), one_by_one["probability"][:6], atol=1e-5)


@pytest.mark.parametrize("chunks", [(1, *SHAPE), (3, *SHAPE), (2, 48, 128)])
def test_nothing_is_read_before_it_is_needed_and_nothing_twice(segmenter, frames, chunks):
    file = Counted(frames)
    mask = segmenter(movie_of(da.from_array(file, chunks=chunks)).as_lazy(), 1.0)
    assert not file.reads.any()
    mask.data[:1].compute()
    assert not file.reads[chunks[0] :].any()
    file.reads[:] = 0
    mask.compute(show_progressbar=False)
    windows = -(-SHAPE[0] // chunks[1]) * -(-SHAPE[1] // chunks[2])
    assert (file.reads[chunks[0] :] == windows).all()
    assert (file.reads[: chunks[0]] <= 2 * windows).all()  # the first frame's chunk once more, for its marks


def test_frames_of_a_stack_are_weighed_each_for_itself(segmenter, frames):
    """A frame full of noise does not change how much the scales count in another."""
    noise = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    beside = segmenter.probability(movie_of(np.stack([frames[0], noise])), SCALE).data
    alone = segmenter.probability(movie_of(frames[:1]), SCALE).data
    np.testing.assert_allclose(beside[0], alone[0], atol=1e-5)


@pytest.mark.parametrize("runtime", tiling.RUNTIMES)
def test_images_together_give_what_each_gives(segmenter, runtime):
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'temlib[openvino]'")
    network = tiling.start(segmenter.model, runtime)
    images = np.random.default_rng(0).uniform(-1, 1, (5, 100, 70)).astype(np.float32)
    together = tiling.predict(network, images)
    apart = np.stack([tiling.predict(network, image) for image in images])
    np.testing.assert_allclose(together, apart, atol=1e-5)
    assert together.std() > 1e-3


def test_no_more_than_a_batch_goes_through_the_network_together():
    seen = []

    def spy(images):
        seen.append(images.shape)
        return np.zeros((len(images), images.shape[1] // 2, images.shape[2] // 2, 2), np.float32)

    assert tiling.predict(spy, np.zeros((9, 256, 250), np.float32)).shape == (9, 128, 125, 2)
    assert [shape[0] for shape in seen] == [4, 4, 1]
    seen.clear()
    tiling.predict(spy, np.zeros((2, 600, 700), np.float32))
    assert [shape[0] for shape in seen] == [1, 1]


def test_doubtful_frames_of_a_stack_are_counted(segmenter, frames, recwarn):
    noise = np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)
    segmenter(movie_of(noise), 1.0)
    (warning,) = recwarn
    assert "a movie: 3 of 3 frames, the first of them 0: expect an IoU" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize(
    "stack", [np.zeros((3, 8, 8), complex), np.zeros((0, 8, 8)), np.zeros((3, 8, 8), [("R", "u1"), ("G", "u1")])]
)
def test_stacks_of_something_else_are_refused(segmenter, stack):
    with pytest.raises(temlib.MicrographError, match="a stack of micrographs holds grey levels"):
        segmenter(hs.signals.Signal2D(stack))


def test_bare_arrays_are_images(segmenter):
    with pytest.raises(temlib.MicrographError, match="two dimensions"):
        segmenter(np.zeros((3, 64, 64)))


def test_threads_and_processes_give_the_same(segmenter, frames):
    mask = segmenter(lazy(frames), 1.0)
    with dask.config.set(scheduler="synchronous"):
        one = mask.data.compute()
    np.testing.assert_array_equal(mask.data.compute(scheduler="threads", num_workers=3), one)
    other = mask.data.compute(scheduler="processes", num_workers=1)
    assert (other != one).mean() < 1e-4


MEMORY = """
import resource, sys
import dask, dask.array as da, hyperspy.api as hs, numpy as np
import temlib

def grow(frames):
    data = da.random.random((frames, 512, 512), chunks=(4, 512, 512)).astype(np.float32)
    mask = temlib.load_segmenter()(hs.signals.Signal2D(data).as_lazy(), 0.125)
    with dask.config.set(scheduler="threads", num_workers=1):
        int(mask.data.sum(axis=(1, 2)).max().compute())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

few, many = grow(24), grow({frames})
print(few, many)
"""


def test_memory_is_bounded_by_the_chunk():
    """A stack of 320 MB; what it takes beyond a short one is less than a tenth of it."""
    frames = 320
    code = MEMORY.replace("{frames}", str(frames))
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    few, many = map(float, result.stdout.split())
    assert many - few < frames / 10
