"""Stacks as a fast pixel detector writes them: Lambda's and Dectris's layouts of NeXus."""

import pickle

import h5py
import hdf5plugin
import numpy as np
import pytest

import temlib
from temlib.files.grey_levels import normalise
from tests.conftest import disc

GAP = slice(60, 66)  # rows between two modules
DEAD = [(5, 7), (20, 90), (100, 33)]
SHAPE = (128, 160)


@pytest.fixture(scope="module")
def counts():
    """Six frames of 12-bit counts: dark discs, one of them across the gap, under Poisson noise."""
    truth = disc(SHAPE, (62, 50), 20) | disc(SHAPE, (40, 120), 18) | disc(SHAPE, (100, 115), 15)
    rng = np.random.default_rng(3)
    frames = rng.poisson(np.where(truth, 90, 200), (6, *SHAPE)).clip(0, 4095).astype(np.uint16)
    return frames, truth


def write_lambda(path, frames, masked=True, time=("count_time", 5e-4, "s"), nx_class=True):
    """Write the layout of x-spectrum's Lambda: bitshuffled and LZ4-compressed frames, a pixel mask, times."""
    stored, mask = frames.copy(), np.zeros(frames.shape[-2:], np.uint32)
    if masked:
        mask[GAP] = 1
        stored[:, GAP] = 0
        for dead in DEAD:
            mask[dead] = 2
            stored[(slice(None), *dead)] = 4095
        mask[0, 0] = 1 << 31  # a virtual pixel: of use all the same
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry/instrument/detector")
        if nx_class:
            file["entry"].attrs["NX_class"] = "NXentry"
            detector.attrs["NX_class"] = np.bytes_("NXdetector")
        chunks = (1, *frames.shape[1:])
        detector.create_dataset("data", data=stored, chunks=chunks, **hdf5plugin.Bitshuffle(cname="lz4"))
        detector["pixel_mask"] = mask
        detector["x_pixel_size"], detector["y_pixel_size"] = 55e-6, 55e-6
        detector["bit_depth_readout"], detector["saturation_value"] = 12, 4095
        if time:
            detector[time[0]] = time[1]
            detector[time[0]].attrs["units"] = time[2]
    return path


@pytest.mark.parametrize("suffix", [".nxs", ".h5", ".hdf5"])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.filterwarnings("error", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_masked_pixels_are_nan_and_all_others_are_the_counts(tmp_path, counts, suffix, lazy):
    frames, _ = counts
    stack = temlib.load_micrograph(write_lambda(tmp_path / f"a{suffix}", frames), lazy=lazy)
    assert stack._lazy is lazy
    data = np.asarray(stack.data)
    bad = np.zeros(SHAPE, bool)
    bad[GAP] = True
    bad[tuple(np.transpose(DEAD))] = True
    assert np.array_equal(np.isnan(data), np.broadcast_to(bad, data.shape))
    assert np.array_equal(data[:, ~bad], frames[:, ~bad])
    (time,) = stack.axes_manager.navigation_axes
    assert (time.name, time.scale, time.units) == ("time", 5e-4, "s")
    assert temlib.pixel_size_of(stack) is None  # 55 um are the sensor's, not the specimen's
    assert temlib.pixel_size_of(temlib.load_micrograph(tmp_path / f"a{suffix}", 0.2, lazy=lazy)) == (0.2, 0.2)


def test_without_masked_pixels_counts_stay_integers(tmp_path, counts):
    frames, _ = counts
    stack = temlib.load_micrograph(write_lambda(tmp_path / "a.nxs", frames, masked=False, nx_class=False))
    assert stack.data.dtype == np.uint16
    assert np.array_equal(stack.data, frames)
    single = temlib.load_micrograph(write_lambda(tmp_path / "b.nxs", frames[:1], masked=False))
    assert np.array_equal(single.data, frames[0])


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        (("frame_time", 2.0, "ms"), 2e-3),
        (("count_time", np.full(6, 50.0), "us"), 5e-5),
        (("collection/shutter_time", 0.5, "milliseconds"), 5e-4),
        (("count_time", 1.0, "fortnights"), None),
        (("count_time", -1.0, "s"), None),
        (None, None),
    ],
)
def test_frame_time_is_the_scale_of_the_navigation_axis(tmp_path, counts, time, seconds):
    stack = temlib.load_micrograph(write_lambda(tmp_path / "a.nxs", counts[0], time=time), lazy=True)
    (axis,) = stack.axes_manager.navigation_axes
    if seconds is None:
        assert axis.name == "frame"
    else:
        assert (axis.name, axis.units) == ("time", "s")
        assert axis.scale == pytest.approx(seconds)


def test_lazy_frames_are_read_when_asked_for_and_in_any_process(tmp_path, counts, monkeypatch):
    from temlib.files.contents import frame_chunks
    from temlib.files.stored import Stored

    block = 2 * 4 * SHAPE[0] * SHAPE[1]
    monkeypatch.setattr("temlib.files.stored.frame_chunks", lambda *of, **_: frame_chunks(*of[:3], block))
    asked = []
    get = Stored.__getitem__
    monkeypatch.setattr(Stored, "__getitem__", lambda self, index: (asked.append(index[0]), get(self, index))[1])
    stack = temlib.load_micrograph(write_lambda(tmp_path / "a.nxs", counts[0]), lazy=True)
    assert stack.data.chunks[0] == (2, 2, 2)
    assert not asked
    np.asarray(stack.inav[3].data)
    assert asked == [slice(2, 4)]
    elsewhere = pickle.loads(pickle.dumps(stack.data))
    assert np.nansum(elsewhere[5].compute()) == np.nansum(np.asarray(stack.data[5]))


def test_frames_in_files_beside_the_master(tmp_path, counts):
    frames, _ = counts
    for number, part in enumerate((frames[:4], frames[4:]), start=1):
        with h5py.File(tmp_path / f"a_data_{number:06d}.h5", "w") as file:
            file.create_dataset("entry/data/data", data=part, chunks=(1, *SHAPE), **hdf5plugin.LZ4())
    with h5py.File(tmp_path / "a_master.h5", "w") as file:
        detector = file.create_group("entry/instrument/detector")
        detector.attrs["NX_class"] = "NXdetector"
        detector["detectorSpecific/pixel_mask"] = np.eye(*SHAPE, dtype=np.uint32)
        detector["frame_time"] = 0.01
        for number in (1, 2):
            link = h5py.ExternalLink(f"a_data_{number:06d}.h5", "/entry/data/data")
            file[f"entry/data/data_{number:06d}"] = link
    for lazy in (False, True):
        stack = temlib.load_micrograph(tmp_path / "a_master.h5", lazy=lazy)
        np.testing.assert_array_equal(np.asarray(stack.data), np.where(np.eye(*SHAPE), np.nan, frames))
    (tmp_path / "a_data_000002.h5").unlink()
    with pytest.raises(
        temlib.MicrographError, match=r"a_master\.h5: its frames are in a_data_000002\.h5, which is not"
    ):
        temlib.load_micrograph(tmp_path / "a_master.h5")


def test_files_beside_the_master_may_hold_a_frame_each(tmp_path, counts):
    frames, _ = counts
    with h5py.File(tmp_path / "a_master.h5", "w") as file:
        file.create_group("entry/instrument/detector").attrs["NX_class"] = "NXdetector"
        for number in (1, 2):
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(f"{number}.h5", "/frame")
            with h5py.File(tmp_path / f"{number}.h5", "w") as beside:
                beside["frame"] = frames[number]
    for lazy in (False, True):
        stack = temlib.load_micrograph(tmp_path / "a_master.h5", lazy=lazy)
        np.testing.assert_array_equal(np.asarray(stack.data), frames[1:3])


def test_what_is_wrong_with_a_detectors_file_is_said(tmp_path, counts, monkeypatch):
    frames, _ = counts
    path = write_lambda(tmp_path / "a.nxs", frames)
    with h5py.File(path, "a") as file:
        del file["entry/instrument/detector/pixel_mask"]
        file["entry/instrument/detector/pixel_mask"] = np.zeros((4, 4), np.uint32)
    with pytest.raises(temlib.MicrographError, match=r"pixel mask has shape \(4, 4\), its frames \(128, 160\)"):
        temlib.load_micrograph(path)
    with h5py.File(path, "a") as file:
        del file["entry/instrument/detector/data"]
        declared = (10**9, *SHAPE)
        file.create_dataset("entry/instrument/detector/data", declared, "u2", chunks=(1, *SHAPE))
        del file["entry/instrument/detector/pixel_mask"]
    with pytest.raises(temlib.MicrographError, match="holds none"):
        temlib.load_micrograph(path)
    with h5py.File(path, "a") as file:
        file["entry/instrument/detector/data"][:3] = frames[:3]
    with pytest.warns(UserWarning, match="declares 1000000000 frames and holds 3"):  # an aborted run
        assert np.array_equal(temlib.load_micrograph(path).data, frames[:3])
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("", (), {"available": 1000}))
    with pytest.raises(temlib.MicrographError, match="more than the memory that is free; pass lazy=True"):
        temlib.load_micrograph(write_lambda(tmp_path / "b.nxs", frames))
    path = write_lambda(tmp_path / "d.nxs", frames)
    monkeypatch.setattr("h5py.h5z.filter_avail", lambda code: False)
    with pytest.raises(temlib.MicrographError, match=r"HDF5 filter .*bitshuffle.*temlib\[detectors\]"):
        temlib.load_micrograph(path)


def test_frames_that_are_damaged_are_named_also_when_they_are_read_late(tmp_path, counts):
    path = write_lambda(tmp_path / "a.nxs", counts[0])
    with h5py.File(path) as file:
        chunk = file["entry/instrument/detector/data"].id.get_chunk_info(2)
    raw = bytearray(path.read_bytes())
    raw[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xff" * chunk.size
    path.write_bytes(raw)
    with pytest.raises(temlib.MicrographError, match=r"a\.nxs: frames cannot be read"):
        temlib.load_micrograph(path)
    stack = temlib.load_micrograph(path, lazy=True)
    with pytest.raises(temlib.MicrographError, match=r"a\.nxs: frames cannot be read"):
        np.asarray(stack.data)


def test_gaps_and_dead_pixels_leave_no_line_in_what_the_network_sees():
    ramp = np.add.outer(np.linspace(0, 10, SHAPE[0]), np.linspace(0, 5, SHAPE[1]))
    spoilt = ramp.copy()
    spoilt[GAP], spoilt[tuple(np.transpose(DEAD))] = np.nan, np.inf
    assert np.abs(normalise(spoilt) - normalise(ramp)).max() < 0.06  # half a gap of the ramp
    far = np.where(np.arange(160) < 80, ramp, np.nan)
    assert np.ptp(normalise(far)[:, 100:]) == 0  # the median, and no streaks, where nothing is near


def test_masks_of_a_detectors_frames_are_those_of_frames_without_gaps(tmp_path, counts):
    frames, truth = counts
    stack = temlib.load_micrograph(write_lambda(tmp_path / "a.nxs", frames))
    segmenter = temlib.load_segmenter()
    mask = segmenter.maps(stack.inav[0].data, scale=1.0)[..., 0] > 0.5
    whole = segmenter.maps(frames[0].astype(np.float32), scale=1.0)[..., 0] > 0.5
    assert np.mean(mask != whole) < 0.01
    assert np.mean(mask[GAP] == truth[GAP]) > 0.9
    empty = np.random.default_rng(1).poisson(200, SHAPE).astype(np.float32)
    gap = empty.copy()
    gap[GAP] = np.nan
    seen, unspoilt = (segmenter.maps(x, scale=1.0)[..., 0] for x in (gap, empty))
    assert np.abs(seen - unspoilt)[GAP].mean() < 0.05
