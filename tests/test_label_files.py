import json
import zipfile
from pathlib import Path

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import roifile
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from skimage.measure import points_in_poly

import temlib
from temlib.files.labels.label_files import as_markers, load_labels, outlines, save_coco, save_labels, save_rois
from temlib.files.labels.regions import paint, runs_of
from temlib.files.micrographs import micrograph
from temlib.palette import COLOURS
from tests.conftest import disc

shapes = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
numbers = st.sampled_from([0, 0, 1, 2, 7, 70000])
label_images = arrays(np.int32, shapes, elements=numbers)


@pytest.fixture
def labels():
    """Two touching discs, a ring with a particle in its hole, two parts of one, a pixel, one cut by the frame."""
    array = np.zeros((60, 80), np.int32)
    array[disc(array.shape, (15, 15), 9)] = 1
    array[disc(array.shape, (15, 30), 8) & (array == 0)] = 2
    array[disc(array.shape, (42, 25), 12) & ~disc(array.shape, (42, 25), 6)] = 3
    array[disc(array.shape, (42, 25), 3)] = 4
    array[30:35, 60:64] = array[35:38, 64:70] = 9
    array[5, 70] = 300
    array[50:, 74:] = 12
    return array


def from_run_lengths(segmentation):
    """Decode as the format says: runs of 0 and 1 in turn, down the columns."""
    counts, (height, width) = segmentation["counts"], segmentation["size"]
    flat = np.repeat(np.arange(len(counts)) % 2, counts)
    return np.pad(flat, (0, height * width - len(flat))).reshape(width, height).T == 1


@settings(deadline=None)
@given(label_images)
def test_every_format_gives_back_the_same_particles(tmp_path_factory, array):
    folder = tmp_path_factory.mktemp("labels")
    assert np.array_equal(load_labels(save_rois(array, folder / "a.zip"), array.shape), array)
    assert np.array_equal(load_labels(save_coco({"a.png": array}, folder / "a.json")), array)
    assert np.array_equal(load_labels(save_labels(array, folder / "a.tif")), array)


@given(label_images)
def test_outlines_enclose_the_particles_and_no_more(array):
    for number in np.unique(array[array > 0]):
        rings = outlines(array == number)
        assert all(np.array_equal(ring[0], ring[-1]) for ring in rings)
        filled = paint(array.shape, [(1, runs_of([ring[:-1] + 0.5 for ring in rings], array.shape))])
        assert np.array_equal(filled == 1, array == number)


def test_outlines_count_from_the_centres_of_pixels():
    (square,) = outlines(np.pad(np.ones((2, 3), int), 1))
    assert square.shape == (5, 2)
    assert square.min(0).tolist() == [0.5, 0.5]
    assert square.max(0).tolist() == [2.5, 3.5]
    assert len(outlines(np.pad(np.zeros((1, 1), int), 1, constant_values=5))) == 2, "a hole has an outline"


def test_other_readers_see_the_same_label_image(tmp_path, labels):
    path = save_labels(micrograph(labels, (0.5, 2.0)), tmp_path / "a.tif")
    read = tifffile.imread(path)
    assert read.dtype == np.uint16
    assert np.array_equal(read, labels)
    signal = hs.load(path)
    assert np.array_equal(signal.data, labels)
    assert [axis.units for axis in signal.axes_manager.signal_axes] == ["nm", "nm"]
    assert [axis.scale for axis in signal.axes_manager.signal_axes] == pytest.approx([2.0, 0.5])
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        assert file.imagej_metadata["unit"] == "nm"
        assert np.divide(*file.pages[0].tags["XResolution"].value) == pytest.approx(1 / 2.0)
        assert np.divide(*file.pages[0].tags["YResolution"].value) == pytest.approx(1 / 0.5)


@pytest.mark.parametrize("size", [0.00731, 0.25, 43.12345679, 999.7777777])
def test_pixel_size_given_wins_and_is_kept(tmp_path, labels, size):
    path = save_labels(micrograph(labels, 3.0), tmp_path / "a.tif", pixel_size_nm=size)
    assert temlib.pixel_size_of(temlib.load_micrograph(path)) == pytest.approx((size, size), rel=1e-5)


def test_unknown_pixel_size_stays_unknown_and_large_numbers_are_kept(tmp_path):
    path = save_labels(np.array([[0, 2**31 - 1]]), tmp_path / "a.tif")
    assert tifffile.imread(path).dtype == np.uint32
    assert temlib.pixel_size_of(temlib.load_micrograph(path)) is None
    assert load_labels(path).tolist() == [[0, 2**31 - 1]]


def test_rois_are_traced_outlines_named_after_their_particles(tmp_path, labels):
    rois = {roi.name: roi for roi in roifile.roiread(save_rois(labels, tmp_path / "a.zip"))}
    assert list(rois) == ["0001", "0002", "0003", "0004", "0009", "0012", "0300"]
    assert rois["0001"].roitype == roifile.ROI_TYPE.TRACED
    assert {(x, y) for x, y in rois["0300"].integer_coordinates.tolist()} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert rois["0003"].composite, "a ring"
    assert rois["0009"].composite, "two parts"
    assert len(rois["0003"].coordinates(multi=True)) == 2
    assert (rois["0012"].left, rois["0012"].top, rois["0012"].right, rois["0012"].bottom) == (74, 50, 80, 60)
    corners = rois["0001"].coordinates().astype(float)
    x, y = corners.T
    area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    assert area == (labels == 1).sum(), "the area of the polygon is that of the pixels"


def test_the_same_labels_give_the_same_bytes(tmp_path, labels):
    for name in ("a", "b"):
        save_rois(labels, tmp_path / f"{name}.zip")
        save_coco({"x": labels}, tmp_path / f"{name}.json")
    for suffix in (".zip", ".json"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def write_rois(path, *rois):
    roifile.roiwrite(path, rois, mode="w")
    return path


def test_regions_drawn_in_fiji_are_filled_as_fiji_fills_them(tmp_path):
    rectangle = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=2, top=3, right=7, bottom=6, name="0004-0004")
    oval = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, left=10, top=10, right=30, bottom=50, name="2")
    polygon = roifile.ImagejRoi.frompoints([[40, 10], [50, 10], [50, 20]], name="7")
    freehand = roifile.ImagejRoi.frompoints([[40.4, 30.0], [44.4, 30.0], [44.4, 33.6], [40.4, 33.6]], name="b")
    labels = load_labels(write_rois(tmp_path / "a.zip", rectangle, oval, polygon, freehand), (60, 60))
    assert np.unique(labels).tolist() == [0, 1, 2, 3, 7]
    assert np.argwhere(labels == 1).min(0).tolist() == [3, 2]
    assert (labels == 1).sum() == 15
    assert (labels == 2).sum() == pytest.approx(np.pi * 10 * 20, rel=0.01)
    assert (labels[10:20, 40:50] == 7).sum() == 45, "half a square; centres on a left edge are outside"
    assert np.argwhere(labels == 3).tolist() == [[y, x] for y in (30, 31, 32, 33) for x in (40, 41, 42, 43)]
    roifile.roiwrite(tmp_path / "5.roi", rectangle)
    assert (load_labels(tmp_path / "5.roi", (8, 8)) == 5).sum() == 15


def test_composites_with_curves_are_read(tmp_path):
    k, r = 0.5522847, 10.0  # four cubic curves make a circle
    path = [0, 10 + r, 20]
    for a, b in ((0, 1), (1, 2), (2, 3), (3, 4)):
        (c0, s0), (c1, s1) = ((np.cos(n * np.pi / 2), np.sin(n * np.pi / 2)) for n in (a, b))
        path += [3, 10 + r * (c0 - k * s0), 20 + r * (s0 + k * c0)]
        path += [10 + r * (c1 + k * s1), 20 + r * (s1 - k * c1), 10 + r * c1, 20 + r * s1]
    path += [4, 0, 8, 18, 1, 12, 18, 1, 12, 22, 1, 8, 22, 4]  # a hole
    roi = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, name="1", shape_roi_size=len(path))
    roi.multi_coordinates = np.array(path, np.float32)
    labels = load_labels(write_rois(tmp_path / "a.zip", roi), (40, 40))
    assert labels.sum() == pytest.approx(np.pi * r**2 - 16, rel=0.01)
    assert not labels[18:22, 8:12].any()


def test_regions_beyond_the_frame_are_cut_and_the_later_wins(tmp_path):
    rois = [
        roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=-3, top=-3, right=4, bottom=20, name="1"),
        roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=2, top=0, right=99, bottom=1, name="2"),
        roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=50, top=50, right=60, bottom=60, name="3"),
    ]
    labels = load_labels(write_rois(tmp_path / "a.zip", *rois), (3, 6))
    assert labels.tolist() == [[1, 1, 2, 2, 2, 2], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0]]


def test_coco_states_area_box_and_exact_masks(tmp_path, labels):
    path = save_coco({"a.png": labels, "b.png": micrograph(labels[::-1].copy(), 0.5)}, tmp_path / "a.json")
    content = json.loads(path.read_text())
    assert [(each["file_name"], each["width"], each["height"]) for each in content["images"]] == [
        ("a.png", 80, 60),
        ("b.png", 80, 60),
    ]
    assert [each["name"] for each in content["categories"]] == ["particle"]
    assert len({each["id"] for each in content["annotations"]}) == len(content["annotations"]) == 14
    for each in content["annotations"]:
        mask = (labels if each["image_id"] == 1 else labels[::-1]) == each["particle"]
        assert np.array_equal(from_run_lengths(each["segmentation"]), mask)
        assert each["area"] == mask.sum()
        rows, columns = np.nonzero(mask)
        assert each["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    assert np.array_equal(load_labels(path, image="b.png"), labels[::-1])
    with pytest.raises(temlib.MicrographError, match=r"'a.png', 'b.png'.*pass image="):
        load_labels(path)
    with pytest.raises(temlib.MicrographError, match=r"no image 'c.png'"):
        load_labels(path, image="c.png")


def coco(path, *segmentations):
    annotations = [{"id": i, "image_id": 5, "segmentation": each} for i, each in enumerate(segmentations)]
    images = [{"id": 5, "file_name": "a", "height": 6, "width": 5}]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def test_coco_of_other_programs_is_read(tmp_path):
    polygons = [[1, 1, 3, 1, 3, 4, 1, 4], [4, 0, 5, 0, 5, 1, 4, 1]]
    compressed = {"size": [6, 5], "counts": "<3333"}  # 12, 3, 3, 3 + 3, 3 + 3: what pycocotools writes
    labels = load_labels(coco(tmp_path / "a.json", polygons, {"size": [6, 5], "counts": [24, 6]}))
    assert (labels[1:4, 1:3] == 1).all()
    assert labels[0].tolist() == [0, 0, 0, 0, 2], "the later wins"
    labels = load_labels(coco(tmp_path / "b.json", compressed))
    assert np.flatnonzero(labels.T).tolist() == [12, 13, 14, 18, 19, 20, 21, 22, 23]


def test_label_images_of_other_programs_are_read(tmp_path, labels):
    Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", labels.astype(np.float32))
    micrograph(labels).save(tmp_path / "c.hspy")
    palette = Image.fromarray((labels % 256).astype(np.uint8))
    palette.putpalette(np.random.default_rng(0).integers(0, 255, 768, np.uint8).tobytes())  # makes it of mode P
    palette.save(tmp_path / "p.png")
    assert np.array_equal(load_labels(tmp_path / "p.png"), labels % 256)
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["exported_data"] = labels[None, ..., None]
    for name in ("a.png", "b.tif", "c.hspy", "d.h5"):
        read = load_labels(tmp_path / name, labels.shape)
        assert read.dtype == np.int32
        assert np.array_equal(read, labels)


def test_classes_of_ilastik_become_particles(tmp_path):
    classes = np.ones((6, 8), np.uint8)
    classes[1:3, 1:3] = classes[4:, 5:] = 2
    tifffile.imwrite(tmp_path / "a_Simple Segmentation.tif", classes)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["exported_data"] = classes[..., None]
    for name in ("a_Simple Segmentation.tif", "a.h5"):
        labels = load_labels(tmp_path / name, particle=2)
        assert np.unique(labels).tolist() == [0, 1, 2]
        assert np.array_equal(labels > 0, classes == 2)


def test_markers_lie_on_the_particles_in_units_of_the_image(labels):
    image = micrograph(np.zeros(labels.shape), (0.5, 2.0))
    for axis in image.axes_manager.signal_axes:
        axis.offset = 100
    markers = as_markers(np.where(labels == 300, 1, 0), image, linewidths=2)
    assert markers.kwargs["edgecolors"] == COLOURS["found"]
    (corners,) = markers.kwargs["verts"]
    assert corners.min(0) == pytest.approx([100 + 69.5 * 2.0, 100 + 4.5 * 0.5])
    assert corners.max(0) == pytest.approx([100 + 70.5 * 2.0, 100 + 5.5 * 0.5])
    image.add_marker(as_markers(labels, image), permanent=True, plot_marker=False)
    assert len(image.metadata.Markers) == 1
    (plain,) = as_markers(np.eye(1, dtype=int)).kwargs["verts"]
    assert plain.max() == 0.5


def fail(*_):
    raise OSError("disk full")


SAVERS = [(save_labels, ".tif"), (save_rois, ".zip"), (lambda a, p, **o: save_coco({"a": a}, p, **o), ".json")]


@pytest.mark.parametrize(("save", "suffix"), SAVERS)
def test_nothing_is_overwritten_unasked_nor_half_written(tmp_path, labels, save, suffix, monkeypatch):
    path = tmp_path / "new" / f"a{suffix}"
    save(labels, path)
    before = path.read_bytes()
    with pytest.raises(temlib.MicrographError, match=rf"a{suffix}: exists already; pass overwrite=True"):
        save(labels, path)
    with pytest.raises(temlib.MicrographError, match="the name must end in"):
        save(labels, path.with_suffix(".pkl"))
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(temlib.TemlibError, match="disk full"):
            save(labels * 2, path, overwrite=True)
    assert path.read_bytes() == before
    save(np.zeros((4, 4), int), path, overwrite=True)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert not load_labels(path, (4, 4)).any()


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([[0, -1]]), "labels lie between"),
        (np.array([[0, 2**31]]), "labels lie between"),
        (np.array([[0.5]]), "whole numbers"),
        (np.array([[np.nan]]), "whole numbers"),
        (np.ones((2, 2), complex), "complex numbers"),
        (np.zeros((2, 2, 2), int), "two dimensions"),
    ],
)
@pytest.mark.parametrize(("save", "suffix"), SAVERS)
def test_what_is_no_label_image_is_not_saved(tmp_path, array, reason, save, suffix):
    with pytest.raises(temlib.MicrographError, match=reason):
        save(array, tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


def refusal(path, *arguments, **options):
    with pytest.raises(temlib.MicrographError) as caught:
        load_labels(path, *arguments, **options)
    message = str(caught.value)
    assert Path(path).name in message
    assert "\n" not in message
    assert ";" in message, "it says what to do"
    return message


def make_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_bad_files_are_refused_in_one_line(tmp_path, labels):
    assert "no such file" in refusal(tmp_path / "none.tif")
    (tmp_path / "a.pkl").write_bytes(b"")
    assert "not read from '.pkl'" in refusal(tmp_path / "a.pkl")
    for suffix in (".tif", ".png", ".hspy", ".h5", ".zip", ".roi", ".json"):
        (tmp_path / f"broken{suffix}").write_bytes(b"not what the name says")
        assert "cannot be read" in refusal(tmp_path / f"broken{suffix}", (9, 9))
    assert "pass shape=" in refusal(save_rois(labels, tmp_path / "a.zip"))
    assert "not (9, 9)" in refusal(save_labels(labels, tmp_path / "a.tif"), (9, 9))
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "colour.png")
    assert "colours" in refusal(tmp_path / "colour.png")
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 6, 7), np.uint8))
    assert "(5, 6, 7)" in refusal(tmp_path / "stack.tif")
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"] = file["b"] = np.zeros((2, 2))
        file["c"] = np.zeros((2, 2))
    assert "arrays" in refusal(tmp_path / "two.h5")


def test_bad_rois_are_refused_in_one_line(tmp_path):
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, name="scale bar")
    message = refusal(write_rois(tmp_path / "line.zip", line), (9, 9))
    assert "'scale bar' is no area but of type line" in message
    wild = roifile.ImagejRoi.frompoints(np.array([[1.0, 1], [np.inf, 1], [1, 2]]).clip(max=9), name="1")
    wild.subpixel_coordinates = np.array([[1, 1], [np.inf, 1], [1, 2]], np.float32)
    assert "no numbers" in refusal(write_rois(tmp_path / "wild.zip", wild), (9, 9))
    assert "no ROI in this zip" in refusal(make_zip(tmp_path / "text.zip", {"a.txt": b"x"}), (9, 9))
    assert "cannot be read" in refusal(make_zip(tmp_path / "short.zip", {"1.roi": b"Iout"}), (9, 9))


def test_zips_are_bounded_and_never_unpacked(tmp_path, monkeypatch):
    square = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=0, top=0, right=1, bottom=1).tobytes()
    members = {"../../escape/3.roi": square, "__MACOSX/._3.roi": b"junk", "/tmp/b/4.roi": square[:]}
    assert load_labels(make_zip(tmp_path / "a.zip", members), (2, 2)).tolist() == [[4, 0], [0, 0]]
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]
    monkeypatch.setattr("temlib.files.labels.imagej_rois._LARGEST_ZIP", 100)
    assert "unpacks to more than 100 bytes" in refusal(tmp_path / "a.zip", (2, 2))


def test_bad_coco_files_are_refused_in_one_line(tmp_path):
    for content in ("[]", "{}", '{"images": []}', '{"annotations": []}'):
        (tmp_path / "a.json").write_text(content)
        assert "lacks 'images' or 'annotations'" in refusal(tmp_path / "a.json")
    for content in ("{", '{"images": [3], "annotations": []}', "[" * 100_000):
        (tmp_path / "a.json").write_text(content)
        assert "cannot be read" in refusal(tmp_path / "a.json")
    assert "has no outline" in refusal(coco(tmp_path / "a.json", []))
    for segmentation in (
        {"size": [5, 6], "counts": [30]},
        {"size": [6, 5], "counts": [20, 11]},
        {"size": [6, 5], "counts": [9, -2, 3]},
    ):
        assert "does not fit its image" in refusal(coco(tmp_path / "a.json", segmentation))
    huge = {"images": [{"id": 1, "file_name": "a", "height": 10**9, "width": 10**9}], "annotations": []}
    (tmp_path / "a.json").write_text(json.dumps(huge))
    assert "not possible" in refusal(tmp_path / "a.json")


def square(left, top, name, **places):
    roi = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT, left=left, top=top, right=left + 2, bottom=top + 2, name=name
    )
    for place, number in places.items():
        setattr(roi, place, number)
    return roi


@pytest.mark.parametrize("way", ["position", "t_position", "z_position", "name"])
def test_rois_of_several_slices_are_not_piled_into_one_image(tmp_path, way):
    def drawn(number, left):
        named = f"{number:04d}-0001-000{left}" if way == "name" else f"{left}"
        return square(left, 0, named, **({} if way == "name" else {way: number}))

    path = write_rois(tmp_path / "a.zip", drawn(1, 0), drawn(3, 2), drawn(3, 4))
    assert "slices 1, 3; pass slice=1, say, or shape=(3, height, width)" in refusal(path, (4, 8))
    masks = [load_labels(path, (4, 8), slice=number) > 0 for number in (1, 2, 3)]
    assert [np.flatnonzero(mask.any(axis=0)).tolist() for mask in masks] == [[0, 1], [], [2, 3, 4, 5]]
    stack = load_labels(path, (3, 4, 8))
    assert stack.shape == (3, 4, 8)
    assert np.array_equal(stack > 0, masks)
    assert "slices 1, 3" in refusal(path, (4, 8), slice=4)
    assert "slices 1, 3" in refusal(path, (2, 4, 8))
    alone = write_rois(tmp_path / "b.zip", drawn(3, 2), drawn(3, 4))
    assert np.array_equal(load_labels(alone, (4, 8)) > 0, masks[2]), "of one slice: no choice is needed"


def test_rois_of_no_slice_are_on_all_and_channels_are_not_mixed_with_frames(tmp_path):
    some = write_rois(
        tmp_path / "a.zip", square(0, 0, "1", position=1), square(2, 0, "2", position=2), square(4, 0, "7")
    )
    assert np.unique(load_labels(some, (4, 8), slice=2)).tolist() == [0, 2, 7]
    mixed = [square(2 * n, 0, f"{n}", c_position=1 + n % 2, t_position=1 + n // 2) for n in range(4)]
    assert "several channels" in refusal(write_rois(tmp_path / "b.zip", *mixed), (4, 8))


def test_a_stack_of_label_images_is_read_by_slice_or_whole(tmp_path):
    stack = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True)
    assert np.array_equal(load_labels(tmp_path / "a.tif", slice=2), stack[1])
    assert np.array_equal(load_labels(tmp_path / "a.tif", (2, 3, 4)), stack)
    assert load_labels(tmp_path / "a.tif", (2, 3, 4), particle=13).sum() == 1
    assert "pass slice=1, say, or shape=(2, 3, 4)" in refusal(tmp_path / "a.tif")
    assert "pass slice=" in refusal(tmp_path / "a.tif", slice=3)


@pytest.mark.parametrize("axes", ["yx", "xy", "yxc", "xyc", "tyxc", "czxyt", "zyx"])
def test_the_axes_that_ilastik_names_are_followed(tmp_path, labels, axes):
    array = np.expand_dims(labels, tuple(range(2, len(axes))))
    array = np.moveaxis(array, (0, 1), (axes.index("y"), axes.index("x")))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["exported_data"] = array
        file["exported_data"].attrs["axistags"] = json.dumps({"axes": [{"key": key, "typeFlags": 2} for key in axes]})
    assert np.array_equal(load_labels(tmp_path / "a.h5", labels.shape), labels)


def test_axes_of_ilastik_that_do_not_fit_are_refused(tmp_path):
    for tags, size, reason in (
        (json.dumps({"axes": [{"key": key} for key in "yxc"]}), 2, "pass slice=1"),
        (json.dumps({"axes": [{"key": key} for key in "yx"]}), 1, "axes 'yx'"),
        (json.dumps({"axes": [{"key": key} for key in "tzc"]}), 1, "axes 'tzc'"),
        ("{}", 1, "lacks 'axes'"),
        ("[" * 60_000, 1, "cannot be read"),
    ):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["exported_data"] = np.zeros((4, 5, size), np.uint8)
            file["exported_data"].attrs["axistags"] = tags
        assert reason in refusal(tmp_path / "a.h5")


@pytest.mark.parametrize(("dtype", "top"), [(np.uint32, 2**31), (np.uint64, 2**40), (np.float32, 3e9), (np.int64, -1)])
def test_numbers_that_are_no_labels_are_refused(tmp_path, dtype, top):
    array = np.array([[0, top]], dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["exported_data"] = array
    assert "labels lie between 0 and" in refusal(tmp_path / "a.h5")
    if dtype != np.int64:
        tifffile.imwrite(tmp_path / "a.tif", array)
        assert "labels lie between 0 and" in refusal(tmp_path / "a.tif")


def categories(path, *names, chosen=None, crowds=(), encoding="utf-8"):
    """Write a COCO file of one image with a pixel of each category, and read it."""
    annotations = [
        {"id": i, "image_id": 1, "category_id": 7 + i, "segmentation": [[i, 0, i + 1, 0, i + 1, 1, i, 1]]}
        | ({"iscrowd": 1} if i in crowds else {})
        for i in range(len(names))
    ]
    known = [{"id": 7 + i, "name": name} for i, name in enumerate(names)]
    images = [{"id": 1, "file_name": "a", "height": 1, "width": len(names)}]
    text = json.dumps({"images": images, "annotations": annotations, "categories": known})
    path.write_bytes(text.encode(encoding))
    return load_labels(path, categories=chosen)[0].tolist()


def test_categories_of_coco_can_be_chosen_and_a_scale_bar_is_no_particle(tmp_path):
    path = tmp_path / "a.json"
    names = ["rod", "scale bar", "sphere", "Scale_Bar", "scalebar", "text", "label", "bar"]
    assert categories(path, *names) == [1, 0, 2, 0, 0, 0, 0, 0]
    assert categories(path, *names, chosen=["sphere", 8]) == [0, 1, 2, 0, 0, 0, 0, 0]
    assert categories(path, *names, chosen="bar")[-1] == 1
    assert categories(path, *names, crowds=[0]) == [0, 0, 1, 0, 0, 0, 0, 0]
    with pytest.raises(temlib.MicrographError, match=r"a.json: no category 'cube'; pass categories= out of 'rod', "):
        load_labels(path, categories="cube")
    with pytest.raises(temlib.MicrographError, match=r"a.json: holds no particles but 'label'; pass categories="):
        categories(path, "label")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_does_not_matter(tmp_path, encoding):
    assert categories(tmp_path / "a.json", "Körner", encoding=encoding) == [1]


def test_large_polygons_are_painted_the_later_over_the_earlier(tmp_path):
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 1500, (150, 4, 2))
    annotations = [{"id": i, "image_id": 1, "segmentation": [each.ravel().tolist()]} for i, each in enumerate(corners)]
    images = [{"id": 1, "file_name": "a", "height": 1500, "width": 1500}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    labels = load_labels(tmp_path / "a.json")
    y, x = rng.integers(0, 1500, (2, 300))
    inside = np.array([points_in_poly(np.column_stack([x, y]) + 0.499, each) for each in corners])
    last = np.where(inside.any(axis=0), len(corners) - inside[::-1].argmax(axis=0), 0)
    assert (labels[y, x] == last).mean() > 0.99  # but for pixels on an edge


def test_what_would_take_minutes_to_paint_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("temlib.files.labels.regions._MOST_PAINTED", 2000)
    assert "again and again" in refusal(coco(tmp_path / "a.json", *[[[0, 0, 5, 0, 5, 6, 0, 6]]] * 9))
    monkeypatch.setattr("temlib.files.labels.regions._MOST_CROSSINGS", 5)
    assert "too many corners" in refusal(coco(tmp_path / "a.json", [[0, 0, 5, 0, 5, 6, 0, 6]]))


@pytest.mark.parametrize(
    "counts", ["", "o" * 1000, "!!", [3.5, 26.5], [], [2**62, 2**62], [15], "<3", [[30]], {"a": 1}]
)
def test_run_lengths_that_do_not_fill_their_image_are_refused(tmp_path, counts):
    refusal(coco(tmp_path / "a.json", {"size": [6, 5], "counts": counts}))


def test_absurd_sizes_are_refused_before_there_is_room_made_for_them(tmp_path):
    for height, width in ((10**9, 10**9), (0, 5), (-3, 5), (10**9, 1)):
        images = [{"id": 1, "file_name": "a", "height": height, "width": width}]
        (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": []}))
        assert "not possible" in refusal(tmp_path / "a.json")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("exported_data", (10**5, 10**5), np.uint8, chunks=(100, 100))
    assert "too large" in refusal(tmp_path / "a.h5")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint8))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        for tag in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[tag].overwrite(60_000)
    refusal(tmp_path / "a.tif")
