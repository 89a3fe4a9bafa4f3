import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from temlib.particles.intervals import quantiles_of
from temlib.particles.measurement import measure_particles
from temlib.particles.size_distribution import particles_needed, size_distribution
from temlib.writing import write_table
from tests.conftest import disc


def table_of(sizes, micrographs=None):
    table = pd.DataFrame({"equivalent_diameter_nm": sizes, "touches_edge": False})
    return table if micrographs is None else table.assign(micrograph=micrographs)


def lognormal(n, median=12.0, spread=1.3, seed=0):
    return np.random.default_rng(seed).lognormal(np.log(median), np.log(spread), n)


def test_few_particles_by_hand():
    found = size_distribution(table_of([1.0, 2.0, 3.0, 4.0]), n_bootstrap=0)
    assert found.mean.value == 2.5
    assert found.median.value == found.d50.value
    assert found.d50.value == 2.5
    assert found.standard_deviation.value == pytest.approx(np.std([1, 2, 3, 4], ddof=1))
    assert found.geometric_mean.value == pytest.approx(24**0.25)
    assert found.geometric_standard_deviation.value == pytest.approx(np.exp(np.std(np.log([1, 2, 3, 4]), ddof=1)))
    assert np.isnan(found.mean.low)
    by_area = size_distribution(table_of([1.0, 2.0]), weights="area", n_bootstrap=0)
    assert by_area.mean.value == pytest.approx((1 + 8) / (1 + 4))
    assert by_area.fits == ()
    assert by_area.best_fit is None


def test_a_lognormal_sample_gives_its_parameters_back():
    found = size_distribution(table_of(lognormal(20000)), n_bootstrap=0)
    assert found.geometric_mean.value == pytest.approx(12, rel=0.01)
    assert found.geometric_standard_deviation.value == pytest.approx(1.3, rel=0.01)
    for name, score in {"d10": -1.2816, "d50": 0, "d90": 1.2816}.items():
        assert getattr(found, name).value == pytest.approx(12 * 1.3**score, rel=0.02)
    assert found.span.value == pytest.approx(1.3**1.2816 - 1.3**-1.2816, rel=0.03)
    assert found.best_fit.family == "lognormal"
    assert found.best_fit.parameters["geometric_mean"] == pytest.approx(12, rel=0.01)
    assert found.best_fit.parameters["geometric_standard_deviation"] == pytest.approx(1.3, rel=0.01)


@pytest.mark.parametrize(("weights", "power"), [("number", 0), ("area", 2), ("volume", 3)])
def test_weighted_sizes_follow_hatch_and_choate(weights, power):
    found = size_distribution(table_of(lognormal(50000)), weights=weights, n_bootstrap=0)
    variance = np.log(1.3) ** 2
    assert found.d50.value == pytest.approx(12 * np.exp(power * variance), rel=0.02)
    assert found.mean.value == pytest.approx(12 * np.exp((power + 0.5) * variance), rel=0.02)
    assert found.geometric_standard_deviation.value == pytest.approx(1.3, rel=0.02)


@pytest.mark.parametrize("family", ["lognormal", "normal", "weibull"])
def test_aic_finds_the_family_that_the_sizes_come_from(family):
    rng = np.random.default_rng(3)
    draw = {
        "lognormal": lambda: rng.lognormal(2, 0.25, 2000),
        "normal": lambda: rng.normal(20, 3, 2000),
        "weibull": lambda: 15 * rng.weibull(2.5, 2000),
    }
    found = size_distribution(table_of(draw[family]()), n_bootstrap=0)
    assert found.best_fit.family == family
    assert {fit.family for fit in found.fits} == set(draw)
    for fit in found.fits:
        sizes = np.linspace(-100, 900, 100001)
        assert np.trapezoid(fit.density(sizes), sizes) == pytest.approx(1, abs=1e-3)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = 12 * np.exp(np.log(1.3) ** 2 / 2)
    hits, median_hits = 0, 0
    for seed in range(100):
        found = size_distribution(table_of(lognormal(80, seed=seed)), n_bootstrap=200, confidence=0.9, seed=seed)
        assert found.resampled == "particles"
        hits += found.mean.low < truth < found.mean.high
        median_hits += found.d50.low < 12 < found.d50.high
    assert 80 <= hits <= 98
    assert 80 <= median_hits <= 98


def test_intervals_are_wider_where_micrographs_differ():
    rng = np.random.default_rng(4)
    names = np.repeat([f"m{i}" for i in range(8)], 50)
    sizes = lognormal(400) * np.repeat(rng.lognormal(0, 0.3, 8), 50)
    alone, together = size_distribution(table_of(sizes)), size_distribution(table_of(sizes, names))
    assert (alone.resampled, together.resampled) == ("particles", "micrographs")
    assert alone.mean.value == pytest.approx(together.mean.value)
    width = together.mean.high - together.mean.low
    assert width > 3 * (alone.mean.high - alone.mean.low)
    alike = size_distribution(table_of(lognormal(400), names))
    assert alike.mean.high - alike.mean.low < width / 3
    assert size_distribution(table_of(sizes[:200], names[:200])).resampled == "particles"  # of four


def test_the_same_seed_gives_the_same_intervals():
    table = table_of(lognormal(100))
    assert size_distribution(table, seed=1) == size_distribution(table.sample(frac=1, random_state=0), seed=1)
    assert size_distribution(table, seed=1) != size_distribution(table, seed=2)


def seen_in(sizes, frame, seed=0):
    """Give the table of squares of some sizes [px], thrown at random onto a frame and beyond."""
    low = np.random.default_rng(seed).integers(-60, np.array(frame), (len(sizes), 2))
    high = low + np.ceil(sizes)[:, None].astype(int)
    seen = ((high > 0) & (low < frame)).all(axis=1)
    box = np.hstack([np.maximum(low, 0), np.minimum(high, frame)])[seen]
    table = pd.DataFrame(box, columns=["top_px", "left_px", "bottom_px", "right_px"])
    edge = ((box[:, :2] == 0) | (box[:, 2:] == frame)).any(axis=1)
    return table.assign(equivalent_diameter_px=sizes[seen] * 1.0, touches_edge=edge)


def in_frame(table, frame):
    return table.assign(frame_height_px=frame[0], frame_width_px=frame[1])


def one_to_one(number, seed=5):
    return np.random.default_rng(seed).choice([10, 60], number)  # as many large as small ones


def test_particles_at_the_edge_are_left_out_and_the_bias_is_corrected():
    table = seen_in(one_to_one(40000), (200, 200))
    whole = size_distribution(table, n_bootstrap=0)
    assert whole.n + whole.n_excluded == len(table)
    assert whole.mean.value < 31
    assert not whole.to_dict()["corrected_for_frame"]
    assert "frame is not known" in whole.edge_rule
    corrected = size_distribution(table, frame_px=(200, 200), n_bootstrap=0)
    assert corrected.mean.value == pytest.approx(35, abs=0.5)
    assert corrected.number_density == pytest.approx(40000 / 260**2, rel=0.02)
    assert corrected.to_dict()["frames_px"] == [[200, 200]]
    assert "Miles" in corrected.edge_rule
    everything = size_distribution(table, edge_particles=True, n_bootstrap=0)
    assert (everything.n_excluded, everything.frames_px, everything.number_density) == (0, (), None)
    with pytest.raises(ValueError, match="do not fit in frame_px"):
        size_distribution(table, frame_px=(100, 200))


def test_the_frame_that_a_table_holds_is_taken_by_default_also_from_csv(tmp_path):
    table = in_frame(seen_in(one_to_one(4000), (200, 200)), (200, 200))
    found = size_distribution(table, n_bootstrap=0)
    said = size_distribution(table, frame_px=(200, 200), n_bootstrap=0)
    assert found.mean.value == said.mean.value
    write_table(tmp_path / "a.csv", table)
    assert size_distribution(pd.read_csv(tmp_path / "a.csv"), n_bootstrap=0).mean.value == pytest.approx(
        found.mean.value
    )
    assert size_distribution(table, frame_px=None, n_bootstrap=0).mean.value < found.mean.value - 3
    assert size_distribution(table, edge_particles=True, n_bootstrap=0).frames_px == ()


def test_fits_and_counts_follow_the_weights_of_the_frame():
    sizes = np.minimum(lognormal(20000, 20, 1.5), 59)
    truth = size_distribution(table_of(sizes), n_bootstrap=0)
    table = seen_in(sizes, (120, 90))
    found, bent = (size_distribution(table, frame_px=frame, n_bootstrap=0) for frame in ((120, 90), None))
    for family, parameter in (("lognormal", "geometric_mean"), ("normal", "mean"), ("weibull", "scale")):
        true, mine, other = (
            next(fit.parameters[parameter] for fit in each.fits if fit.family == family)
            for each in (truth, found, bent)
        )
        assert mine == pytest.approx(true, rel=0.04)
        assert abs(mine - true) < abs(other - true)
    assert found.counts.sum() == pytest.approx(found.n)
    assert found.mean.value == pytest.approx(np.average(found.sizes, weights=found.counts))


def test_a_frame_too_small_for_any_whole_particle_takes_no_part():
    table = in_frame(seen_in(one_to_one(4000), (200, 200)), (200, 200)).assign(micrograph="large")
    table = table[table["equivalent_diameter_px"] > 30]
    cut = in_frame(table.iloc[:1], (40, 40)).assign(micrograph="small", touches_edge=True)
    cut[["top_px", "left_px"]], cut[["bottom_px", "right_px"]] = 0, 39
    alone, both = (size_distribution(each, n_bootstrap=0) for each in (table, pd.concat([table, cut])))
    assert both.mean.value == pytest.approx(alone.mean.value)
    assert both.median.value == pytest.approx(alone.median.value)


def test_each_micrograph_of_a_pooled_table_has_its_frame():
    shapes = {"a": (200, 200), "b": (100, 160), "c": (50, 300)}  # the last one never holds a large one
    thrown = {"a": 4000, "b": 16000, "c": 8000}  # of other crowding each
    tables = [
        in_frame(seen_in(one_to_one(thrown[name]), shape), shape).assign(micrograph=name)
        for name, shape in shapes.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    found = size_distribution(table, n_bootstrap=0)
    assert found.mean.value == pytest.approx(35, abs=1)
    assert set(found.frames_px) == set(shapes.values())
    plain = table.drop(columns=["frame_height_px", "frame_width_px"])
    assert size_distribution(plain, frame_px=shapes, n_bootstrap=0).mean.value == found.mean.value
    with pytest.raises(ValueError, match="do not fit in frame_px"):
        size_distribution(plain, frame_px=shapes | {"a": (100, 200)})
    with pytest.raises(ValueError, match="do not fit in frame_px"):
        size_distribution(in_frame(table, (199, 160)), n_bootstrap=0)
    with pytest.raises(ValueError, match="no frame of micrograph 'c'"):
        size_distribution(plain, frame_px={"a": (200, 200), "b": (100, 160)})
    with pytest.raises(ValueError, match="no column micrograph"):
        size_distribution(plain.drop(columns="micrograph"), frame_px=shapes)
    with pytest.raises(ValueError, match=r"no frame of \d+ particles"):
        size_distribution(pd.concat([table, plain]))
    with pytest.raises(ValueError, match="frame_px='all' is no frame"):
        size_distribution(table, frame_px="all")


def test_the_density_is_that_of_the_specimen_whatever_the_magnification():
    def measured(scale, name):
        masks = [disc((200, 200), (100, 100), radius) for radius in (10 * scale, 4 * scale)]
        tables = [measure_particles(mask.astype(int), pixel_size_nm=1 / scale) for mask in masks]
        return pd.concat(tables).assign(micrograph=name)

    one = size_distribution(measured(1, "a"), n_bootstrap=0)
    assert one.number_density == pytest.approx(1 / (199 - 21) ** 2 + 1 / (199 - 9) ** 2)
    both = size_distribution(pd.concat([measured(1, "a"), measured(4, "b")]), n_bootstrap=0)
    assert both.number_density == pytest.approx(4 / (185**2 + (185 - 150) ** 2), rel=0.02)


def test_tables_of_measured_particles_can_be_taken_together():
    labels = disc((100, 100), (30, 30), 15).astype(int) + 2 * disc((100, 100), (70, 60), 20)
    labels[95:, 95:] = 3
    tables = [measure_particles(labels, pixel_size_nm=0.5).assign(micrograph=i) for i in range(5)]
    found = size_distribution(pd.concat(tables), n_bootstrap=20)
    assert (found.column, found.n, found.n_excluded) == ("equivalent_diameter_nm", 10, 5)
    assert found.mean.value == pytest.approx(np.average([15, 20], weights=[1 / 68**2, 1 / 58**2]), rel=0.01)
    assert size_distribution(pd.concat(tables), frame_px=None).mean.value == pytest.approx(17.5, rel=0.01)
    assert size_distribution(tables[0], "feret_max_nm", n_bootstrap=0).column == "feret_max_nm"
    assert size_distribution(measure_particles(labels), n_bootstrap=0).column == "equivalent_diameter_px"


def test_it_becomes_a_table_and_json():
    found = size_distribution(table_of(lognormal(50)), n_bootstrap=50)
    frame = found.to_frame()
    assert frame.columns.tolist() == ["unit", "value", "low", "high"]
    assert frame["unit"].tolist() == ["nm"] * 7 + ["ratio"] * 2
    assert frame.index[-2:].tolist() == ["geometric_standard_deviation", "span"]
    assert (frame["low"] <= frame["value"]).all()
    assert (frame["value"] <= frame["high"]).all()
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["statistics"]["mean"]["value"] == pytest.approx(frame.loc["mean", "value"])
    assert plain["fits"][0]["family"] == found.best_fit.family
    without = size_distribution(table_of(lognormal(50)), n_bootstrap=0).to_dict()
    assert without["statistics"]["mean"]["low"] is None
    with pytest.raises(AttributeError, match="no 'mode'"):
        _ = found.mode


@pytest.mark.parametrize("statistic", ["median", "mean"])
@pytest.mark.parametrize(("weights", "power"), [("number", 0), ("area", 2), ("volume", 3)])
def test_as_many_particles_as_needed_give_the_precision(weights, power, statistic):
    spread = np.log(1.3)
    first = size_distribution(table_of(lognormal(5000)), weights=weights, n_bootstrap=0)
    n = particles_needed(first, precision=0.05, confidence=0.95, statistic=statistic)
    truth = 12 * np.exp((power + 0.5 * (statistic == "mean")) * spread**2)
    samples = np.sort(np.random.default_rng(6).lognormal(np.log(12), spread, (2000, n)))
    if statistic == "mean":
        said = (samples ** (power + 1)).sum(axis=1) / (samples**power).sum(axis=1)
    else:
        said = np.array([quantiles_of(sample, sample**power, (0.5,))[0] for sample in samples])
    assert 0.94 < np.mean(np.abs(said / truth - 1) < 0.05) < 0.975
    assert particles_needed(first, precision=0.025, statistic=statistic) > 3.8 * n


def test_a_table_is_taken_by_number():
    table = table_of(lognormal(5000))
    assert particles_needed(table) == particles_needed(size_distribution(table)) == pytest.approx(174, abs=8)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"column": "feret"}, "no column feret"),
        ({}, {"weights": "mass"}, "weights='mass' is unknown"),
        ({}, {"confidence": 95}, "confidence=95"),
        ({}, {"n_bootstrap": -1}, "n_bootstrap=-1"),
        ({}, {"frame_px": (9, 9), "edge_particles": True}, "pass edge_particles=False"),
        ({}, {"frame_px": (9, 9)}, "no column top_px"),
        ({"touches_edge": True}, {}, "0 of 5 particles are left"),
        ({"equivalent_diameter_nm": 0.0}, {}, "not above 0"),
        ({"equivalent_diameter_nm": np.nan}, {}, "missing or not above 0"),
    ],
)
def test_wrong_input_is_named_in_one_line(change, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        size_distribution(table_of(lognormal(5)).assign(**change), **options)
    assert "\n" not in str(caught.value)


def test_without_a_spread_nobody_knows_how_many_it_takes():
    with pytest.raises(ValueError, match="less than three different sizes"):
        particles_needed(table_of([3.0, 3.0, 3.0]))
    with pytest.raises(ValueError, match="precision=0"):
        particles_needed(table_of(lognormal(9)), precision=0)
    with pytest.raises(ValueError, match="statistic='mode'"):
        particles_needed(table_of(lognormal(9)), statistic="mode")
    with pytest.raises(ValueError, match="no column touches_edge"):
        size_distribution(pd.DataFrame({"equivalent_diameter_nm": [1.0, 2.0]}))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(1, 100), min_size=2, max_size=30),
    st.sampled_from(["number", "area", "volume"]),
    st.floats(0.01, 100),
)
@example([1.0] * 5, "number", 0.03125)  # whose logarithms differ by rounding alone
def test_sizes_in_another_unit_give_the_same_distribution_in_that_unit(sizes, weights, factor):
    first, second = (
        size_distribution(table_of(np.array(sizes) * scale), weights=weights, n_bootstrap=20) for scale in (1, factor)
    )
    for name, estimate in first.statistics.items():
        scaled = 1 if name in ("geometric_standard_deviation", "span") else factor
        assert second.statistics[name].value == pytest.approx(scaled * estimate.value, rel=1e-6, abs=1e-6 * factor)
        low, high = second.statistics[name].low, second.statistics[name].high
        assert low == pytest.approx(scaled * estimate.low, rel=1e-4, abs=1e-6 * factor, nan_ok=True)
        assert not low > second.statistics[name].value
        assert not high < second.statistics[name].value
        assert np.isnan(low) or len(sizes) >= 5
    assert first.d10.value <= first.d50.value <= first.d90.value


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 100), min_size=3, max_size=30, unique=True), st.floats(0.01, 0.3), st.floats(1.01, 5))
def test_a_finer_answer_takes_more_particles_in_any_unit(sizes, precision, factor):
    few = particles_needed(table_of(np.array(sizes)), precision)
    assert 1 <= few <= particles_needed(table_of(np.array(sizes)), precision / factor)
    assert abs(particles_needed(table_of(np.array(sizes) * factor), precision) - few) <= 1 + 1e-6 * few
