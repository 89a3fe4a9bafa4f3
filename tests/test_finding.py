import json
import zipfile

import numpy as np
import pytest
from hyperspy.signals import Signal2D

import temlib
from temlib import synthetic
from temlib.errors import SegmenterError
from temlib.files.micrographs import pixel_size_of
from temlib.network.finding import auto_scales, scales_of_proposals
from temlib.network.segmenter import SCORER
from temlib.network.workers import segmenter_fingerprint
from temlib.particles.scores import particle_f1
from temlib.particles.separation import separate_particles


@pytest.fixture(scope="module")
def segmenter():
    return temlib.load_segmenter()


@pytest.fixture(scope="module")
def made():
    scene = synthetic.Scene(
        size_px=384, n_particles=30, diameter_nm=10, diameter_spread=0.6, clustering=0.0, overlap=0.0, dose=3000
    )
    return synthetic.simulate(scene, 5)


def test_small_particles_beside_large_ones_are_found(segmenter, made):
    found, maps = segmenter.find(made.image)
    assert particle_f1(found.labels, made.labels) > 0.85
    assert particle_f1(found.labels, made.labels) > particle_f1(separate_particles(maps), made.labels)
    assert len(found.confidence) == found.labels.max()
    assert found.confidence.min() >= found.least == segmenter.scorer.least
    np.testing.assert_allclose(maps, segmenter.maps(made.image), atol=1e-5)


def test_particles_are_those_that_are_found_and_keep_the_axes(segmenter, made):
    particles = segmenter.particles(made.image)
    assert pixel_size_of(particles) == pixel_size_of(made.image)
    np.testing.assert_array_equal(particles.data, segmenter.find(made.image)[0].labels)


def test_a_higher_confidence_leaves_out_more_and_tells_of_it(segmenter, made):
    few, _ = segmenter.find(made.image, min_confidence=0.99)
    all_of_them, _ = segmenter.find(made.image, min_confidence=0.05)
    assert few.labels.max() < all_of_them.labels.max()
    assert few.labels.max() + len(few.left_out_px) == pytest.approx(all_of_them.labels.max(), abs=3)
    assert not ((few.labels > 0) & (all_of_them.labels == 0)).any()
    np.testing.assert_array_equal(segmenter.particles(made.counts, min_confidence=0.99), few.labels)
    np.testing.assert_array_equal(segmenter.with_confidence(0.99).particles(made.counts), few.labels)
    with pytest.raises(ValueError, match="min_confidence is '2'; it must be a number from 0 to 1"):
        segmenter.particles(made.counts, min_confidence=2)


def test_frames_of_a_stack_are_found_as_by_themselves(segmenter, made):
    stack = Signal2D(np.stack([made.counts[:200, :200], made.counts[150:350, 150:350]]))
    particles = segmenter.particles(stack)
    for frame, labels in zip(stack.data, particles.data):
        np.testing.assert_array_equal(labels, segmenter.find(frame)[0].labels)


def test_a_finer_scale_is_looked_at_unless_scales_are_named(segmenter, made):
    assert scales_of_proposals((512, 640), auto_scales((512, 640))) == [0.3125, 0.625, 1.25, 2.0]
    assert scales_of_proposals((512, 640), [1.0]) == [1.0]
    assert {level.scale for level in segmenter.proposals(made.image, scale=1).levels} == {1.0}


def test_a_scorer_is_saved_with_its_segmenter(segmenter, made, tmp_path):
    other = temlib.load_segmenter(segmenter.with_confidence(0.6).save(tmp_path / "a.keras"))
    assert other.min_confidence == 0.6
    assert other.scorer.digest() == segmenter.scorer.digest()
    assert (
        segmenter_fingerprint(other)
        == segmenter_fingerprint(segmenter.with_confidence(0.6))
        != segmenter_fingerprint(segmenter)
    )
    np.testing.assert_array_equal(other.particles(made.counts), segmenter.particles(made.counts, min_confidence=0.6))


@pytest.mark.parametrize(("content", "reason"), [(b"import os", "scorer is damaged"), (b"", "scorer is damaged")])
def test_a_damaged_scorer_is_one_line(segmenter, tmp_path, content, reason):
    path = segmenter.save(tmp_path / "a.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, kept in (members | {SCORER: content}).items():
            archive.writestr(name, kept)
    with pytest.raises(SegmenterError, match=f"a.keras: .*{reason}"):
        temlib.load_segmenter(path)


def test_a_confidence_out_of_range_in_a_file_is_refused(segmenter, tmp_path):
    path = segmenter.save(tmp_path / "a.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    settings = json.loads(members["temlib.json"]) | {"min_confidence": 7}
    with zipfile.ZipFile(path, "w") as archive:
        for name, kept in (members | {"temlib.json": json.dumps(settings).encode()}).items():
            archive.writestr(name, kept)
    with pytest.raises(SegmenterError, match="min_confidence"):
        temlib.load_segmenter(path)
