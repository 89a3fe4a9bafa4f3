"""What is said in prose is what the committed tables say."""

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from temlib import Run, load_segmenter
from temlib.network.segmenter import _IN_DOUBT, carried_scorer
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks import (
    alphas,
    boxes,
    carried,
    confidence,
    contrast,
    corrected,
    coverage,
    holes,
    learned_supports,
    linkers,
    many_labels,
    min_confidence,
    own_labels,
    own_scorer,
    populations,
    separation,
    sizes_real,
    speed,
    supported,
    synthetic_transfer,
    teacher,
    title_question,
    tracking,
)

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = ("synthetic", "labelled")


def test_scores_of_the_runs_are_those_of_the_committed_tables():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    for run, row in Run(root=ROOT).compare().iterrows():
        cells = [f"{row[f'{kind} mean']:.2f}, {row[f'{kind} median']:.2f}" for kind in ("ML", "TL", "Otsu")]
        assert f"| `{run}` | {' | '.join(cells)} | {row['TL > ML']} |" in evidence
    seeds = pd.read_csv(MEASURED / "seeds.csv")
    assert seeds["seed"].nunique() >= 3
    assert (seeds.groupby(["run", "seed"]).size() == 11).all()
    for run, rows in seeds.assign(wins=seeds["TL"] > seeds["ML"]).groupby("run"):
        by_seed = rows.groupby("seed", sort=False)
        cells = [", ".join(f"{mean:.2f}" for mean in by_seed[kind].mean()) for kind in ("ML", "TL")]
        assert f"| `{run}` | {' | '.join(cells)} | {', '.join(map(str, by_seed['wins'].sum()))} of 11 |" in evidence


def test_the_readme_says_what_the_evidence_says():
    """Each of its findings has a link to a section, and numbers that stand in that section."""
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    sections = dict(re.findall(r"^## (.+)\n([\s\S]+?)(?=^## |\Z)", evidence, re.M))
    texts = {re.sub(r"\W+", "-", title.lower()): text for title, text in sections.items()}
    findings = re.findall(r"^- \[.+\]\(docs/evidence\.md#(.+)\): (.+)$", (ROOT / "README.md").read_text(), re.M)
    assert len(findings) == 4
    for section, sentence in findings:
        assert all(number in texts[section] for number in re.findall(r"\d\.\d+", sentence))


def test_numbers_in_prose_are_those_of_the_tables():
    evidence = " ".join((ROOT / "docs" / "evidence.md").read_text().split())
    iou = pd.read_csv(MEASURED / "bundled.csv").groupby(["data", "split"])[["iou", "otsu"]].agg(["mean", "median"])
    said = [iou.loc[where] for where in (("emps", "test"), ("emps", "validation"), ("simulated", "test"))]
    (test, validation, simulated) = [f"{x['iou', 'mean']:.2f}" for x in said]
    medians = [f"{x['iou', 'median']:.2f}" for x in said]
    otsu = [f"{x['otsu', 'mean']:.2f}" for x in said]
    assert f"mean IoU of {test} (median {medians[0]}) on the 11 test micrographs of `emps`" in evidence
    assert f"{validation} ({medians[1]}) on its 36 validation micrographs and {simulated} ({medians[2]})" in evidence
    assert f"Otsu's threshold has {otsu[0]}, {otsu[1]} and {otsu[2]}" in evidence
    seeds = pd.read_csv(MEASURED / "seeds.csv")
    seeds = seeds.assign(gain=seeds["TL"] - seeds["ML"], better=seeds["TL"] > seeds["ML"]).groupby(["run", "seed"])
    gain, better = seeds["gain"].mean(), seeds["better"].sum()
    assert (
        f"by {gain.min():.2f} to {gain.max():.2f}, and is better on {better.min()} to {better.max()} of 11" in evidence
    )
    sizes = pd.read_csv(MEASURED / "sizes.csv").query("varied == 'diameter_px'").set_index("diameter_px")
    bias = -sizes["network bias_percent"]
    text = " ".join((ROOT / "notebooks" / "09_what_was_measured.ipynb").read_text().replace("\\n", " ").split())
    text = text.replace('", "', " ").replace("  ", " ")
    assert bias[[8, 12, 16, 24, 48, 96]].between(0.4, 1.5).all()
    found = sizes.loc[8, "network number"] / sizes.loc[8, "truth number"]
    assert (
        f"about 1 % too small at every size from 8 to 96 px and every dose. It counts {100 * found:.0f} % of 8 px"
        in text
    )


def test_known_populations_are_told_as_measured():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    table = pd.read_csv(MEASURED / "populations.csv")
    assert len(table)
    assert set(table["condition"]) == set(populations.CONDITIONS)
    for line in populations.lines(table):
        assert line in evidence
    again = pd.read_csv(MEASURED / "populations_seeds.csv")
    drawn = zip(again["condition"], again["seed"], strict=True)
    assert {*drawn} == {*product(populations.OFTEN, populations.OTHER_SEEDS)}
    for line in populations.lines(again.assign(condition=again["condition"] + ", seed " + again["seed"].astype(str))):
        assert line in evidence
    recall = pd.read_csv(MEASURED / "populations_recall.csv").set_index(["condition", "way", "from_px"])["recall"]
    proposals, average = (100 * recall["sigma 0.6", way, 12] for way in ("proposals", "average of scales"))
    said = " ".join(evidence.split())
    assert f"proposals find {proposals:.0f} %, the average found {average:.0f} %" in said
    ours = table.query("way == 'proposals'").set_index("condition")
    shapes = ours.loc["all shapes"]
    assert f"F1 {shapes['f1']:.2f}, {shapes['count_percent']:+.0f} % particles" in said
    held = (ours["median held"] * ours["intervals"]).sum()
    assert f"In total, {held:.0f} of {ours['intervals'].sum():.0f} intervals hold" in said


def test_what_min_confidence_trades_is_told_as_measured():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    for line in min_confidence.lines(pd.read_csv(MEASURED / "min_confidence.csv")):
        assert line in evidence
    assert f"{carried_scorer().least:g} is the default" in evidence


def test_intervals_hold_the_truth_as_often_as_it_is_told():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    table = pd.read_csv(MEASURED / "coverage.csv")
    assert [tuple(row) for row in table[list(coverage.KEYS)].itertuples(index=False)] == coverage.CONDITIONS
    for line in coverage.lines(table):
        assert line in evidence
    counted = table.query("micrographs == 0 and particles >= 50")[list(coverage.truth(0.3, "number"))].to_numpy()
    assert f"of one population, {counted.min():.0f} to {counted.max():.0f} of a hundred" in " ".join(evidence.split())


def test_confidences_are_told_as_measured():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    table = pd.read_csv(MEASURED / "confidence.csv")
    for line in confidence.lines(table):
        assert line in evidence
    by_data = table.query("network == 'synthetic'").groupby("data", sort=False)
    off = [confidence.expected_error(some) for _, some in by_data]
    said = "differ by {:.2f} on `emps`, {:.2f} on `simulated` and {:.2f} on the population".format(*off)
    assert said in " ".join(evidence.split())


def test_the_bundled_scorer_judges_best_with_each_seed_at_each_confidence():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    table = pd.read_csv(MEASURED / "own_scorer.csv")
    for line in own_scorer.lines(table):
        assert line in evidence
    f1 = own_scorer.summary(table)[list(own_scorer.SEEDS)]
    for least in own_scorer.CONFIDENCES:
        others = f1.loc[[("own", least), ("own, out of fold", least), ("rule", f1.loc["rule"].index[0])]]
        ahead = f1.loc["carried", least] - others
        assert (ahead > 0).all(axis=None)


def test_a_teacher_is_worth_what_was_measured():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    table = pd.read_csv(MEASURED / "teacher.csv")
    for line in teacher.lines(table):
        assert line in evidence
    iou = teacher.by_seed(table)["iou"]
    change = iou.loc["taught"] - iou.loc["alone"]
    assert len(change) == len(teacher.SEEDS) == 3
    mean, said = change.mean(), " ".join(evidence.split())
    assert f"rises by {mean['emps']:.3f} on `emps` and by {mean['simulated']:.3f} on `simulated`" in said
    assert f"changes by {change.abs().max(axis=None):.3f} at the most" in said


def test_the_question_of_the_title_is_answered_as_measured():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    table = pd.read_csv(MEASURED / "title_question.csv")
    assert table.groupby(["data", "seed"]).size().to_dict() == dict.fromkeys(
        [(data, seed) for data in title_question.DATA for seed in title_question.SEEDS], 11 * 11
    )
    for line in [*title_question.lines(table), *corrected.lines(pd.read_csv(MEASURED / "corrected.csv"))]:
        assert line in evidence
    means = table.groupby(["data", "way", "seed"])["iou"].mean().unstack("way")
    assert (means["TL"] > means["ML"]).all()
    assert (means["TL"] > means["TL, random encoder"]).all()
    of_sets = means.groupby("data").mean()
    assert (of_sets["ML, strokes on itself"] > of_sets["TL"]).all()
    assert (of_sets["TL, 5 true labels"] > of_sets["TL"]).all()


def test_holes_are_told_as_counted():
    evidence = " ".join((ROOT / "docs" / "evidence.md").read_text().split())
    total = holes.total(pd.read_csv(MEASURED / "holes.csv"))
    assert f"Of {total['particles']:,} particles found correctly" in evidence
    assert f"{total['with holes']:.1f} % have a hole, and {total['lower by 1 % or more']:.2f} % have one" in evidence
    assert f"from {total['error as is']:.1f} to {total['error filled']:.1f} %" in evidence


def test_seconds_are_told_as_measured():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    table = pd.read_csv(MEASURED / "speed.csv")
    for line in speed.lines(table):
        assert line in evidence
    prose = " ".join(evidence.split())
    whole = table.query("what == 'openvino'").set_index("edge")[["particles", "table"]].sum(axis=1)
    assert (
        f"1024 px takes {whole[1024]:.1f} s, of 2048 px {whole[2048]:.1f} s and of 4096 px {whole[4096]:.0f} s" in prose
    )
    finest = 4 * table.query("what == 'openvino'").set_index("edge")["network"]
    assert f"about {finest[1024]:.1f}, {finest[2048]:.1f} and {finest[4096]:.0f} s" in prose
    network = table.pivot_table(index="edge", columns="what", values="network")
    times = (network["segmentation_models_pytorch"] / network["keras"]).dropna()
    assert "{:.0f}, {:.0f} and {:.0f} times as long as the bare network with Keras".format(*times) in prose
    crowd = table.set_index("what").loc["25,000 particles"]
    assert min(crowd[["particles", "table"]]) > 3
    separated = f"{crowd['found']:,.0f} particles, separation takes {crowd['particles']:.2f} s"
    assert f"{separated} and measurement {crowd['table']:.2f} s: both miss their aims of 3 s" in prose
    assert f"The distribution takes {crowd['distribution']:.1f} s" in prose
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert "the figures take about six minutes and the tests about eleven minutes" in readme
    assert "`temlib figures` takes about six minutes where 150 s were the aim" in prose
    assert "quick tests take about eleven minutes where nine were the aim" in prose


def test_what_openvino_is_worth_is_told_as_measured():
    said = " ".join((ROOT / "docs" / "develop.md").read_text().split())
    table = pd.read_csv(MEASURED / "speed.csv").set_index(["what", "edge"])
    ratio = table.loc["keras"] / table.loc["openvino"]
    words = "{:.1f} times as long at 1024 px, {:.1f} times at 2048 px and {:.1f} times at 4096 px"
    assert words.format(*ratio["network"]) in said
    assert "the ratios are {:.1f}, {:.1f} and {:.1f}".format(*ratio["particles"]) in said


def test_what_the_method_can_and_cannot_do_is_what_was_measured():
    evidence = " ".join((ROOT / "docs" / "evidence.md").read_text().split())
    noise = pd.read_csv(MEASURED / "label_noise.csv")
    assert (noise.groupby(["way", "strength", "encoder", "data"])["seed"].nunique() == 3).all()
    noise = noise.query("encoder == 'frozen' and data == 'synthetic'")
    better = (noise["iou"] > noise["teacher"]).groupby([noise["way"], noise["strength"]])
    assert better.all()["wrong pixels"].all()
    assert not better.any()[[("eroded", -0.16), ("missed particles", 0.6)]].any()
    mean = noise.groupby(["way", "strength"])[["teacher", "iou"]].mean()
    assert f"reaches an IoU of {mean.loc[('exact', 0), 'iou']:.2f} on other ones" in evidence
    for key, words in {
        ("wrong pixels", 0.15): "(IoU of the labels {teacher:.2f}) it has {iou:.2f}, better than its teacher",
        ("false particles", 0.3): "particles added (IoU {teacher:.2f}) it has {iou:.2f}.",
        ("eroded", -0.16): "too small (IoU {teacher:.2f}) or left out",
        ("missed particles", 0.6): "left out (IoU {teacher:.2f}), the network",
    }.items():
        assert words.format(**mean.loc[key]) in evidence
    drawn = mean.loc[("eroded", -0.16), "iou"], mean.loc[("missed particles", 0.6), "iou"]
    assert "{:.2f} and {:.2f}, worse than its teacher".format(*drawn) in evidence

    def spread(table, *keys):
        each = table.groupby([*keys, "seed"])["iou"].mean().groupby(list(keys)).agg(["mean", "min", "max"])
        assert table["seed"].nunique() >= 3
        return each.apply(lambda row: "{mean:.2f} ({min:.2f} to {max:.2f})".format(**row), axis=1)

    own = spread(pd.read_csv(MEASURED / "own_scribbles.csv").query("classifier == 'quadratic'"), "data")
    assert f"there give {own['simulated']} on the test micrographs of `simulated` and {own['emps']} on" in evidence
    tl = spread(pd.read_csv(MEASURED / "seeds.csv").rename(columns={"TL": "iou"}), "run")
    assert f"TL has {tl['simulated-bundled']} and {tl['emps-bundled']} with the bundled encoder" in evidence
    baselines = pd.read_csv(MEASURED / "baselines.csv")
    each = spread(baselines, "source", "network")
    assert (baselines.groupby(["source", "network"])["seed"].nunique() == 3).all()
    hand, both = (each[source] for source in ("20 hand labels", "ML labels and synthetic"))
    words = "is {} with ImageNet's frozen encoder, {} with the bundled one, and {} with a random one."
    frozen = [f"{encoder}, frozen" for encoder in ("imagenet", "bundled", "random")]
    assert words.format(*hand[frozen]) in evidence
    assert f"from random weights, reaches {hand['classic U-Net']}, our own network" in evidence
    assert f"fully trained from random weights, {hand['random, all learns']}, in six times the time" in evidence
    assert (
        "micrographs it is {}, {} and {}, and {} for the classic U-Net".format(*both[[*frozen, "classic U-Net"]])
        in evidence
    )
    by_seed = baselines.pivot_table("iou", ["source", "seed"], "network")
    mean = baselines.groupby(["source", "network"])["iou"].mean().unstack("source")
    notebook = _prose("09_what_was_measured")
    frozen_one, classic, ours = "imagenet, frozen", "classic U-Net", "random, all learns"
    by_hand, mixed = mean["20 hand labels"], mean["ML labels and synthetic"]
    assert (
        f"reaches {by_hand[frozen_one]:.2f}; from random weights, the classic U-Net and our network reach "
        f"{by_hand[classic]:.2f}" in notebook
    )
    assert f"{by_hand[classic]:.2f}" == f"{by_hand[ours]:.2f}"
    words = f"means are {mixed[frozen_one]:.2f}, {mixed[classic]:.2f} (classic U-Net) and {mixed[ours]:.2f} (ours)"
    assert words in notebook
    worst = by_seed.loc["ML labels and synthetic", 1]
    assert f"a little better ({worst[classic]:.2f} against {worst[frozen_one]:.2f})" in notebook
    ahead = by_seed["imagenet, frozen"] > by_seed["classic U-Net"]
    assert ahead.groupby("source").sum().to_dict() == {"20 hand labels": 3, "ML labels and synthetic": 2}
    assert (by_seed.idxmin(axis=1) == "random, frozen").all()
    by_hand, mixed = by_seed.loc["20 hand labels"], by_seed.loc["ML labels and synthetic"]
    from_nothing = by_seed.columns[by_seed.columns.str.contains("random|classic")]
    assert (by_hand["bundled, frozen"] > by_hand[from_nothing].max(axis=1)).all()
    assert (mixed["bundled, adapted"] > mixed["bundled, frozen"]).all()
    assert [(s["imagenet, fine-tuned"] > s["imagenet, frozen"]).sum() for s in (by_hand, mixed)] == [0, 1]
    seconds = baselines.groupby("network")["seconds"].mean()
    assert 5.5 < seconds["classic U-Net"] / seconds["imagenet, frozen"] < 7
    assert 5.5 < seconds["random, all learns"] / seconds["imagenet, frozen"] < 7
    mixing = pd.read_csv(MEASURED / "mixing.csv")
    ways = spread(mixing, "way")
    assert (mixing.groupby("way")["seed"].nunique() == 3).all()
    assert f"is {ways['both']} with ML labels and synthetic micrographs together, {ways['synthetic']}" in evidence
    assert f"{ways['ML labels']} with ML labels alone" in evidence
    cells = mixing.pivot(index="way", columns="seed", values="iou")
    gain = cells - cells.loc["both"]
    worst = mixing.groupby("seed")["teacher"].first().idxmin()
    less = [
        "mostly synthetic",
        "synthetic, then ML",
        *(f"both, ML {how}" for how in ("boundaries ignored", "cleaned", "doubted")),
    ]
    here, elsewhere = gain.loc[less, worst], gain.loc[less].drop(columns=worst)
    said = f"gain {here.min():.2f} to {here.max():.2f}"
    assert f"{said} where those are worst, and nothing elsewhere" in evidence
    assert elsewhere.max().max() < 0.005
    notebook = _prose("09_what_was_measured")
    assert f"{said} over *both*" in notebook
    assert f"or lose up to {-elsewhere.min().min():.2f}." in notebook
    assert gain.loc["both, ML doubted"].min() >= 0
    assert gain.loc["both, ML smoothed"].max() < 0.001
    assert (cells.max(axis=1) - cells.min(axis=1)).loc["both"] > gain.loc[less].max().max()
    both = pd.read_csv(MEASURED / "label_noise.csv").pivot_table("iou", ["way", "strength", "data", "seed"], "encoder")
    tuned = (both["fine-tuned"] - both["frozen"]).round(4)
    assert (tuned.loc["wrong pixels", :, "simulated"] >= 0).all()
    assert ((tuned.loc["missed particles", 0.6] < 0).groupby("data").sum() == 2).all()


def test_what_is_said_of_fine_tuning_is_what_was_measured():
    tuned = pd.read_csv(MEASURED / "fine_tuning.csv")
    assert (tuned.groupby(["data", "method", "n"])["seed"].nunique() == 3).all()
    iou = tuned.assign(method=tuned["method"].str.removeprefix("bundled, ")).pivot_table(
        "iou", ["data", "n", "seed"], "method"
    )
    as_it_comes = iou["adapted"].xs(0, level="n")
    iou = iou.drop(0, level="n")
    gain = iou.sub(as_it_comes.reindex(iou.index.droplevel("n")).to_numpy(), axis=0)
    adapting = gain["adapted"]
    assert (adapting.drop(("emps", 5)) > 0).all()
    assert sorted(adapting["emps", 5] > 0) == [False, True, True]
    notebook = _prose("09_what_was_measured")
    means = {cell: f"{value:.2f}" for cell, value in adapting.groupby(["data", "n"]).mean().items()}
    assert f"of `emps` this gains {means['emps', 20]} and {means['emps', 100]} on average over the network" in notebook
    assert (
        f"of `simulated` {means['simulated', 5]} and {means['simulated', 20]}, for every seed more than nothing"
        in notebook
    )
    assert f"and lose {-adapting['emps', 5].min():.2f} for the third" in notebook
    alone = gain["fine-tuned"].groupby(["data", "n"]).mean().groupby("data").max()
    assert f"gains at most {alone['emps']:.2f} on `emps` and {alone['simulated']:.2f} on `simulated`" in notebook
    after = iou["adapted and fine-tuned"] - iou["adapted"]
    on_average = after.groupby(["data", "n"]).mean()
    assert (on_average.iloc[:-1] < 0).all()
    assert on_average.iloc[-1] < 0.001
    assert f"Once it lost {-after.min():.2f}" in notebook
    extracted = iou["frozen and fine-tuned"]
    assert round((extracted - iou["frozen"]).groupby(["data", "n"]).mean().max(), 2) == 0.01
    better = (extracted - iou["adapted"])[lambda gains: gains > 0]
    assert list(better.index) == [("emps", 20, 1), ("emps", 100, 1)]
    assert round(better.max(), 2) == 0.01
    took = (tuned["seconds"] - tuned["frozen_seconds"])[tuned["method"].str.contains("fine-tuned")]
    assert 10 < took.min() < took.max() < 65


def _prose(notebook: str) -> str:
    """Give the prose of a notebook, in one line."""
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
    return " ".join(" ".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown").split())


def test_numbers_of_the_changelog_are_those_of_the_tables():
    said = " ".join((ROOT / "CHANGELOG.md").read_text().split("## 0.3.0")[0].split())
    labels = pd.read_csv(MEASURED / "labels.csv").query("data == 'emps'").groupby(["method", "n"])["iou"].mean()
    for method, words in (
        ("imagenet, frozen", "frozen encoder {:.2f}, {:.2f}, {:.2f}, {:.2f} with 1, 5, 20, 100 hand labels"),
        ("bundled, adapted", "adapted {:.2f}, {:.2f}, {:.2f}, {:.2f};"),
        ("pixel classifier", "pixel classifier {:.2f}, {:.2f}, {:.2f}, {:.2f} "),
    ):
        assert words.format(*(labels[method, n] for n in (1, 5, 20, 100))) in said
    assert f"training on a hundred reached {labels['imagenet, frozen', 100]:.2f}" in " ".join(
        (ROOT / "docs" / "evidence.md").read_text().split()
    )
    alike = pd.read_csv(MEASURED / "labels.csv").query("data == 'simulated'").groupby(["method", "n"])["iou"].mean()
    for method, words in (
        ("bundled, adapted", "adapted to 1, 5, 20 it has {:.2f}, {:.2f}, {:.2f};"),
        ("imagenet, frozen", "ImageNet's frozen encoder {:.2f}, {:.2f}, {:.2f};"),
        ("pixel classifier", "the pixel classifier {:.2f}, {:.2f}, {:.2f}."),
    ):
        assert words.format(*(alike[method, n] for n in (1, 5, 20))) in said
    evidence = " ".join((ROOT / "docs" / "evidence.md").read_text().split())
    assert f"the bundled network {alike['bundled, adapted', 0]:.2f} without labels" in said
    words = "labels raise the IoU of the network `synthetic` from {:.2f} to {:.2f}, {:.2f} and {:.2f}. On `emps`"
    assert words.format(*(alike["bundled, adapted", n] for n in (0, 1, 5, 20))) in evidence
    notebook = _prose("09_what_was_measured")
    scratch = labels["random, all learns", 20]
    worth = labels["imagenet, frozen", 20] - scratch
    assert f"the whole network has {scratch:.2f} with twenty labels, {worth:.2f} less than with ImageNet's" in notebook
    assert f"from random weights has {alike['random, all learns', 20]:.2f} with twenty" in notebook
    gains = [labels["imagenet, frozen", n] - labels["bundled, adapted", 0] for n in (10, 50, 100)]
    assert "without any; ten gain {:.2f}, fifty {:.2f}, a hundred {:.2f}**".format(*gains) in notebook
    assert abs(labels["imagenet, frozen", 5] - labels["bundled, adapted", 0]) < 0.005
    by_seed = pd.read_csv(MEASURED / "labels.csv").query("data == 'emps'").pivot_table("iou", "method", ["n", "seed"])
    frozen, alone = by_seed.loc["imagenet, frozen"], by_seed.loc["bundled, adapted", 0].mean()
    assert (by_seed.loc["pixel classifier"] < frozen).drop(0).all()
    assert (by_seed.loc["imagenet, fine-tuned"] < frozen)[[10, 50]].all()
    assert (by_seed.loc["bundled, adapted"] < alone + 0.001)[[1, 2]].all()
    assert all(-0.01 < labels["bundled, adapted", n] - alone < 0 for n in (5, 10, 20))
    gains = [alike["bundled, adapted", n] - alike["bundled, adapted", 0] for n in (1, 20)]
    assert "adapting the bundled network to one label gains {:.2f}, to twenty {:.2f}**".format(*gains) in notebook
    default = pd.read_csv(MEASURED / "default.csv").groupby("setting")
    for setting, words in (
        ("default", "IoU {mean:.2f} ({min:.2f} to {max:.2f}; the aim was 0.90) and F1 of particles {f1:.2f}"),
        ("one decoder", "; {mean:.2f} ({min:.2f} to {max:.2f}) and {f1:.2f} with one, in {seconds:.0f} s"),
    ):
        cell = default.get_group(setting)
        iou = cell["iou"].agg(["mean", "min", "max"])
        assert words.format(**iou, f1=cell["f1"].mean(), seconds=cell["seconds"].mean()) in said
        assert "{mean:.2f} ({min:.2f} to {max:.2f}".format(**iou) in evidence
        assert f"after {cell['seconds'].mean():.0f} s" in evidence
    cells = pd.read_csv(MEASURED / "default.csv").set_index(["setting", "fold", "seed"])["iou"]
    for setting, words in {
        "a band ignored at boundaries": "a band ignored at boundaries {gain:+.3f} (better in {better} of {n})",
        "boundaries count five times": "boundaries that count five times {gain:+.3f} ({better} of {n})",
        "half the decoder's channels": "half the decoder's channels {gain:+.3f} (",
        "no zoom": "without zoom {gain:+.3f} (better in {better} of {n})",
        "no marks": "without marks {gain:+.3f} ({better} of {n})",
        "no grey levels": "without changes of grey levels {gain:+.3f} ({better} of {n})",
        "inversion 0.5": "half of the views inverted {gain:+.3f} ({better} of {n})",
        "blur 1": "blurred or sharpened {gain:+.3f} ({better} of {n})",
        "half the passes": "half the passes {gain:+.3f} ({better} of {n})",
    }.items():
        gain = cells.loc[setting] - cells.loc["one decoder"].reindex(cells.loc[setting].index)
        assert words.format(gain=gain.mean(), better=(gain > 0).sum(), n=len(gain)) in said
    for setting, words in {
        "one decoder, 18 passes": "one decoder change the IoU of the default by {:+.3f} (better in {} of {}",
        "two decoders, 9 passes": "nine epochs of two decoders by {:+.3f} ({} of {},",
        "three decoders, 6 passes": "six epochs of three decoders by {:+.3f} ({} of {},",
    }.items():
        gain = cells.loc[setting] - cells.loc["default"].reindex(cells.loc[setting].index)
        assert words.format(gain.mean(), (gain > 0).sum(), len(gain)) in " ".join(evidence.split())
    flips, averaged = cells.loc["four flips"], cells.loc["weights of the last four passes averaged"]
    assert len(flips) == 9
    first = cells.loc["one decoder"].loc[0]
    words = [f"three mirror images reaches {flips.mean():.3f}, which is"]
    for reference, form in (("default", "{:+.3f} against the default"), ("one decoder", "{:+.3f} against one decoder")):
        gain = flips - cells.loc[reference]
        words.append(f"{form.format(gain.mean())} (better in {(gain > 0).sum()} of 9)")
    words.append(f"changes its IoU by {(averaged - first.to_numpy()).mean():+.3f} (one fold")
    for setting, form in (
        ("batches of 16", "batches of 16 by {:+.3f}"),
        ("twice the views, half the passes", "half the passes by {:+.3f} (one fold, three seeds each)"),
    ):
        words.append(form.format((cells.loc[setting] - cells.loc["one decoder"].loc[[0]]).mean()))
    wide = cells.loc["twice the decoder's channels"]
    gain, other = (wide - cells.loc[reference] for reference in ("one decoder", "default"))
    of_one = f"one decoder by {gain.mean():+.3f} in nine cells (better in {(gain > 0).sum()}; "
    words.append(f"{of_one}{gain.min():+.3f} to {gain.max():+.3f})")
    words.append(f"default by {other.mean():+.3f} (better in {(other > 0).sum()})")
    assert [each for each in words if each not in " ".join(evidence.split())] == []
    cells = pd.read_csv(MEASURED / "default.csv").set_index(["setting", "fold", "seed"])[["iou", "f1"]]
    heavy = cells.loc["default, boundaries count five times"]
    gain = heavy - cells.loc["default"].reindex(heavy.index)
    assert len(gain) == 9
    words = "three decoders: {iou:+.3f} in nine cells (better in {}), F1 {f1:+.3f} (better in {})"
    assert words.format(*(gain > 0).sum(), **gain.mean()) in said
    bundled = pd.read_csv(MEASURED / "bundled.csv").fillna({"split": ""}).groupby(["data", "split"])["warned"].mean()
    assert f"{bundled['emps', 'validation']:.0%}".replace("%", " % of the validation micrographs of `emps`") in said
    sizes = pd.read_csv(MEASURED / "sizes_simulated.csv").set_index("particles").round(0).astype(int)
    everything, rightly = -sizes.loc["all"], -sizes.loc["found ones"]
    assert f"is {everything['bias_percent']} % too small" in said
    assert f"rightly {rightly['bias_percent']} % ({rightly['high_percent']} to {rightly['low_percent']})" in said
    counts = separation.intervals(pd.read_csv(MEASURED / "separation.csv", dtype={"name": str}))

    def value(network, data, split, way, score, digits):
        return [f"{number:.{digits}f}" for number in counts.loc[(network, data, split, way), score]]

    test = "bundled", "emps", "test"
    f1, low, high = value(*test, "proposals", "f1", 2)
    assert f"by proposals: F1 {f1} (95 % interval {low} to {high}) and an error of the count" in said
    wrong, low, high = value(*test, "proposals", "count_error_percent", 0)
    assert f"count of {wrong} % ({low} to {high}) in the median micrograph" in said
    wrong, low, high = value(*test, "both", "count_error_percent", 0)
    assert f"scales {value(*test, 'both', 'f1', 2)[0]} and {wrong} % ({low} to {high})." in said
    emps, simulated = (
        [value("bundled", data, "validation", way, "f1", 2)[0] for way in ("proposals", "both")]
        for data in ("emps", "simulated")
    )
    assert "micrographs F1 is {} against {}, on the 9 of `simulated` {} against {}.".format(*emps, *simulated) in said
    f1, low, high = value("trained", "emps", "test", "proposals", "f1", 2)
    assert f"labels (three seeds) it is {f1} ({low} to {high}) and" in said
    wrong, low, high = value("trained", "emps", "test", "proposals", "count_error_percent", 0)
    assert f"and {wrong} % ({low} to {high}) on the test micrographs." in said
    strokes = (
        pd.read_csv(MEASURED / "classifiers.csv").query("strokes == 5").groupby(["classifier", "data"])["iou"].mean()
    )
    quadratic, forest = ([strokes[kind, data] for data in ("simulated", "emps")] for kind in ("quadratic", "forest"))
    assert "IoU of {:.2f} on `simulated` and {:.2f} on `emps`".format(*quadratic) in said
    assert "the forest {:.2f} and {:.2f},".format(*forest) in said


def test_the_table_of_the_generator_is_that_of_its_benchmark():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    transfer = pd.read_csv(MEASURED / "synthetic_transfer.csv")
    by_seed = transfer.groupby(["variant", "data", "seed"])["iou"].agg(["mean", "median"])
    table = by_seed.groupby(["variant", "data"]).mean()
    for variant, words in (("before", "of temlib 0.1"), ("full", "as it is")):
        cells = [", ".join(f"{value:.2f}" for value in table.loc[variant, data]) for data in ("emps", "simulated")]
        assert f"| {words} | {' | '.join(cells)} |" in evidence


def test_every_variant_of_the_ablation_was_measured():
    transfer = pd.read_csv(MEASURED / "synthetic_transfer.csv")
    seeds = transfer.groupby("variant")["seed"].unique().map(sorted).to_dict()
    others = list(synthetic_transfer.SEEDS_OF_OTHERS)
    assert seeds == {v: list(synthetic_transfer.SEEDS.get(v, others)) for v in synthetic_transfer.VARIANTS}
    assert transfer.groupby(["variant", "seed"]).size().nunique() == 1


def test_what_is_said_of_particles_on_a_support_is_what_was_measured():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    table = pd.read_csv(MEASURED / "supported.csv").groupby("way")["f1"].agg(["mean", "median", "size"])
    named = {
        "difference of Gaussians": "difference of Gaussians, told diameter and contrast",
        "Otsu": "Otsu, told the contrast",
        "network": "network, told nothing",
        "network, contrast": "network, told the contrast",
        "network, diameter": "network, told the diameter",
        "network, diameter, auto": 'network, told the diameter, `contrast="auto"`',
        "network, diameter, contrast": "network, told diameter and contrast",
    }
    for way, name in named.items():
        mean, median, size = table.loc[way]
        assert size == 12
        assert f"| {name} | {mean:.2f} | {median:.2f} |" in evidence
    assert {*named} == {*table.index}


def test_what_auto_contrast_costs_is_told_as_measured():
    section = (ROOT / "docs" / "evidence.md").read_text().split("## Particles on a support")[1].split("\n## ")[0]
    said = " ".join(section.split())
    table = pd.read_csv(MEASURED / "contrast.csv", dtype={"name": str})
    assert table.groupby(["told", "data"])["name"].nunique().to_dict() == {
        (told, data): number for told in contrast.TOLD for data, number in (("emps", 36), ("simulated", 9))
    }
    for line in contrast.lines(table):
        assert line in section
    assert f"in the mask of dark particles is above {_IN_DOUBT}" in said
    doubted = table["doubt dark"] > _IN_DOUBT
    assert (table["doubt bright"] >= table["doubt dark"])[~doubted].all()
    assert f"saves the second look at {(~doubted).sum()} of {len(table)}" in said
    bright = table[table["true"] == "bright"].set_index("told")
    assert set(bright["data"]) == {"emps"}
    raised = "from {dark:.2f} to {auto:.2f}"
    nothing, diameter = (raised.format(**bright.loc[told]) for told in contrast.TOLD)
    assert f"raises the IoU {nothing}, with the diameter {diameter}" in said
    f1 = pd.read_csv(MEASURED / "supported.csv").pivot(index="name", columns="way", values="f1")
    told, auto = f1["network, diameter, contrast"], f1["network, diameter, auto"]
    assert set(f1.index[told != auto]) == {"PtC1"} < supported.DARK == {"PtC1", "PtC2"}
    assert f"falls from {told['PtC1']:.2f} to {auto['PtC1']:.2f} on PtC1" in said


def test_what_is_said_of_the_two_networks_is_what_was_measured():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    said = " ".join(evidence.split("## Taught by real labels")[1].split("\n## ")[0].split())
    tables = {
        name: pd.read_csv(MEASURED / f"{file}.csv").fillna({"split": ""})
        for name, file in (("synthetic", "bundled"), ("labelled", "labelled"))
    }
    sets = [("emps", "validation"), ("emps", "test"), ("simulated", "validation"), ("simulated", "test")]
    for data, split in sets:
        cells = []
        for table in tables.values():
            some = table[(table["data"] == data) & (table["split"] == split)]["iou"]
            cells.append(f"{some.mean():.3f}, {some.median():.3f}")
        assert f"| `{data}`, {split} | {len(some)} | {' | '.join(cells)} |" in said
    warned = {name: table[table["data"] == "no micrograph"]["warned"] for name, table in tables.items()}
    assert f"of {warned['labelled'].sum()} of {len(warned['labelled'])} pictures" in said
    assert f"`synthetic` of {warned['synthetic'].sum()}" in said
    f1, other = (tables[name].groupby(["data", "split"])["f1"].mean()["emps"] for name in ("labelled", "synthetic"))
    assert f"{f1['validation']:.2f} on validation and {f1['test']:.2f} on test" in said
    assert f"`synthetic` itself has {other['validation']:.2f} and {other['test']:.2f}" in said
    log = [row["emps"] for row in load_segmenter("labelled").history]
    assert f"{log[-1]:.3f} on `emps` and" in said
    assert f"fell to {min(log):.3f}" in said


def test_what_many_labels_take_and_give_is_what_was_measured():
    section = (ROOT / "docs" / "evidence.md").read_text().split("**Many labels.**")[1].split("The aim was 0.88")[0]
    table = pd.read_csv(many_labels.TABLE)
    assert [line for line in section.splitlines() if line.startswith(("| 3", "| 1"))] == many_labels.lines(table)
    iou = table.pivot(index="seed", columns="decoders", values="iou")
    gain = iou[1] - iou[3]
    said = " ".join(section.split())
    assert f"by {gain.mean():+.3f} on average ({gain.min():+.3f} to {gain.max():+.3f})" in said


def test_what_supports_alone_would_teach_is_what_was_measured():
    section = (ROOT / "docs" / "evidence.md").read_text().split("**What supports alone")[1].split("**What a teacher")[0]
    table, known = pd.read_csv(learned_supports.TABLE), pd.read_csv(carried.TABLE)
    assert table.groupby("network")["name"].size().tolist() == 3 * [36 + 9 + 3 * 12 + carried.SOOT]
    assert [line for line in learned_supports.lines(table, known) if line not in section] == []
    before = known.query("network == 'synthetic'").groupby("data")[["iou", "f1"]].mean()
    gain = table.groupby(["network", "data"])[["iou", "f1"]].mean() - before
    said = " ".join(section.split())
    mean = gain.groupby(level="data").mean()
    for words in (
        f"the diameter told {mean.loc['supported, told diameter', 'f1']:+.2f}",
        f"nothing told {mean.loc['supported, told nothing', 'f1']:+.2f}",
        f"IoU on `emps` {mean.loc['emps', 'iou']:+.2f}, F1 {mean.loc['emps', 'f1']:+.2f}",
        f"contrast told, {mean.loc['supported, told diameter and contrast', 'f1']:+.2f}",
    ):
        assert words in said
    up = gain.xs("supported, told diameter", level="data")["f1"] > 0
    assert up.all()
    assert (gain.xs("emps", level="data") < 0).all(axis=None)


def test_boxes_by_overlap_are_those_of_the_table():
    section = (ROOT / "docs" / "evidence.md").read_text().split("**Missed, or not exact?**")[1].split("`contrast=")[0]
    table = pd.read_csv(boxes.TABLE)
    assert [line for line in section.splitlines() if line.startswith("| 0.")] == boxes.lines(table)
    at_half = table[table["overlap"] == 0.5].set_index("name")["f1"]
    known = pd.read_csv(MEASURED / "carried.csv").query("network == 'labelled'").set_index(["data", "name"])["f1"]
    assert at_half.to_dict() == known["supported, told diameter and contrast"].to_dict()


def test_aims_stand_beside_what_was_reached():
    section = (ROOT / "docs" / "evidence.md").read_text().split("**The aims, and what was reached.**")[1]
    aims, soot = (" ".join(part.split()) for part in section.split("**Soot.**"))
    soot = soot.split("Where they")[0]
    table = carried.summary(pd.read_csv(MEASURED / "carried.csv"))
    test = pd.read_csv(MEASURED / "labelled.csv").query("data == 'emps' and split == 'test'")
    boxes = {
        name: [table.loc[(f"supported, told {w}", name), "f1"] for w in ("diameter", "nothing")] for name in NETWORKS
    }
    emps, simulated = (table.loc[(data, "labelled")] for data in ("emps", "simulated"))
    for words in (
        f"0.87 on `emps` (it has {emps['iou']:.2f}) and 0.64 on `simulated` ({simulated['iou']:.2f})",
        f"85 % of `emps` ({100 * emps['within']:.0f} %)",
        f"IoU 0.90 ({test['iou'].mean():.2f}) and F1 0.88 ({test['f1'].mean():.2f})",
        "0.65 with the diameter told ({:.2f}) and 0.50 with nothing told ({:.2f})".format(*boxes["labelled"]),
        "0.60 and 0.45 ({:.2f} and {:.2f})".format(*boxes["synthetic"]),
        f"and `emps` 0.80 ({table.loc[('emps', 'synthetic'), 'iou']:.2f})",
    ):
        assert words in aims
    iou, f1 = ([table.loc[("soot, synthetic", name), what] for name in NETWORKS] for what in ("iou", "f1"))
    assert (
        "mean IoU of {:.2f} and `labelled` {:.2f}. The F1 of particles is {:.2f} and {:.2f}".format(*iou, *f1) in soot
    )


def test_what_is_said_of_the_particles_of_the_two_networks_is_what_was_measured():
    evidence = " ".join((ROOT / "docs" / "evidence.md").read_text().split())
    table = pd.read_csv(MEASURED / "carried.csv")
    scores = carried.summary(table)
    assert scores["n"].tolist() == 2 * [36, 9, 12, 12, 12] + 2 * [carried.SOOT]
    for network in NETWORKS:
        cells = []
        for data in ("emps", "simulated"):
            row = scores.loc[(data, network)]
            cells += [f"{row['f1']:.2f}", f"{100 * row['within']:.0f} %"]
        told = [scores.loc[(f"supported, told {what}", network), "f1"] for what in carried.TOLD]
        cells.append(", ".join(f"{f1:.2f}" for f1 in told))
        assert f'| `"{network}"` | {" | ".join(cells)} |' in evidence
    masks = table[table["data"] == "emps"].pivot(index="name", columns="network", values="iou")
    gain = (masks["labelled"] - masks["synthetic"]).to_numpy()
    draws = np.random.default_rng(0).choice(gain, (4000, len(gain))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    words = f"IoU {gain.mean():+.2f}, 95 % interval over the validation micrographs {low:+.2f} to {high:+.2f}"
    assert words in evidence


def test_widths_of_networks_are_those_of_the_tables():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    wide, decoder = (pd.read_csv(path) for path in (alphas.TABLE, alphas.DECODER))
    assert wide.groupby(["alpha", "seed"]).size().to_dict() == dict.fromkeys(
        product(alphas.ALPHAS[1:], teacher.SEEDS), 36 + 9
    )
    assert decoder.groupby("seed").size().to_dict() == dict.fromkeys(teacher.SEEDS, 36 + 9)
    scores, times = alphas.means(), pd.read_csv(alphas.SECONDS)
    assert [line for line in alphas.lines(scores, times) if line not in evidence] == []
    usual, *others = alphas.NETWORKS
    gains = pd.concat({name: scores["iou"].loc[name] - scores["iou"].loc[usual] for name in others})
    means = gains.groupby(level=0, sort=False).mean()
    said = " ".join(evidence.split())
    by = "by {:+.3f}, {:+.3f} and {:+.3f}"
    assert f"{by.format(*means['emps'])} on `emps` and {by.format(*means['simulated'])} on `simulated`" in said
    longer = "A prediction takes {:.1f}, {:.1f} and {:.1f} times as long".format(
        *(times["prediction"] / times["prediction"][0])[1:]
    )
    assert f"by {gains.abs().to_numpy().max():.3f} at the most with any seed. {longer}" in said


def test_what_labels_of_ones_own_add_is_what_was_measured():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    own = pd.read_csv(own_labels.TABLE)
    assert own.groupby(["data", "n"])["seed"].nunique().eq(len(own_labels.SEEDS)).all()
    assert len(own.groupby(["data", "n"])) == 2 * len(own_labels.NUMBERS) + 3
    assert [line for line in own_labels.lines(own) if line not in evidence] == []
    said, means = " ".join(evidence.split()), own.groupby(["data", "n", "seed"])[["iou", "f1", "f1_told"]].mean()
    gain = {(data, n): means.loc[data, n] - means.loc[data, 0] for data, n in (("emps", 20), ("simulated", 20))}
    both = "{:.2f} to {:.2f}"
    assert f"on `emps` by {both.format(*gain['emps', 20]['iou'].agg(['min', 'max']))} with each seed" in said
    ranges = [both.format(*gain["simulated", 20][what].agg(["min", "max"])) for what in ("iou", "f1")]
    assert "twenty raise the IoU by {} and F1 by {}. On supports".format(*ranges) in said
    masks = means.loc["supported", 3] - means.loc["supported", 0]
    assert f"raise F1 by {both.format(*masks['f1'].agg(['min', 'max']))} where the diameter is not told" in said
    lost = -masks["f1_told"]
    assert f"lower it by {both.format(lost.min(), lost.max())} where it is" in said
    told = {name: means.loc[name, 3] for name in ("supported", own_labels.AS_TOLD)}
    lost = (means.loc["supported", 0] - told[own_labels.AS_TOLD])["f1_told"]
    assert f"they lower it by no more than {lost.max():.2f}" in said
    unchanged = (told[own_labels.AS_TOLD] == means.loc["supported", 0])[["f1", "f1_told"]].all(axis=1)
    assert unchanged.sum() == 1
    assert "with one of the three seeds adapting found nothing better" in said
    first = [means.loc["emps", n]["iou"] - means.loc["emps", 0]["iou"] for n in (1, 5)]
    assert all(each.min() < 0 < each.max() for each in first)


def test_sizes_on_real_micrographs_are_those_of_the_table():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    table = pd.read_csv(MEASURED / "sizes_real.csv")
    assert (table.groupby("way", sort=False)["name"].nunique() == 36).all()
    assert list(table["way"].unique()) == list(sizes_real.WAYS)
    section = evidence.split("## Sizes on real micrographs")[1].split("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| ")][1:] == sizes_real.lines(table)
    assert f"({(table['true'] >= sizes_real.MANY).sum() // len(sizes_real.WAYS)} of them)" in section


def test_particles_are_followed_and_grow_as_the_table_says():
    evidence = (ROOT / "docs" / "evidence.md").read_text()
    table = pd.read_csv(MEASURED / "tracking.csv")
    assert not table.duplicated(["movie", "source"]).any()
    for source, rows in table.groupby("source"):
        assert tracking_line(source, rows) in evidence
    assert (table.groupby("source")["movie"].nunique() == tracking.MOVIES).all()
    assert set(table["source"]) == set(tracking.SOURCES)
    off = (table["exponent"] - table["truth"]).abs().groupby(table["source"]).max()
    least, held = (
        table.groupby("source")["hota"].min(),
        table["low"].le(table["truth"]) & table["high"].ge(table["truth"]),
    )
    held = held.groupby(table["source"]).sum()
    coarse = table.query("source == 'network, one scale' and truth == 0.5")
    half = (coarse["exponent"] - coarse["truth"]).mean()
    changes = " ".join((ROOT / "CHANGELOG.md").read_text().split())
    mean = table.groupby("source")["hota"].mean()["network"]
    assert f"HOTA is {mean:.2f} from the network's masks, and the exponent within {off['network']:.3f}" in changes
    said = " ".join(evidence.split())
    for words in (
        f"the lowest HOTA is {least['truth']:.2f}, all 40 exponents are within {off['truth']:.3f}",
        f"the lowest HOTA is {least['network']:.2f}, all 40 exponents are within {off['network']:.3f}",
        f"hold the truth in {held['truth']} of 40 movies from true masks",
        f"in {held['network']} of 40 from the network's",
        f"At one scale, the exponent 1/2 is off by {half:.3f} on average",
    ):
        assert words in said, words


def test_linking_is_compared_as_measured():
    evidence = " ".join((ROOT / "docs" / "evidence.md").read_text().split())
    means = linkers.summary(pd.read_csv(MEASURED / "linkers.csv"))
    ours, trackpy, laptrack = (means.xs(name, level="linker") for name in ("temlib", "trackpy", "laptrack"))
    words = "HOTA {:.3f} from the true masks and {:.3f} from the network's with temlib, {:.3f} and {:.3f} with trackpy"
    assert words.format(*ours["hota"], *trackpy["hota"]) in evidence
    assert "{:.3f} and {:.3f} with laptrack".format(*laptrack["hota"]) in evidence
    assert (trackpy["ms"] < ours["ms"] / 15).all()


def test_the_pages_say_how_long_following_takes():
    table = pd.read_csv(MEASURED / "track_speed.csv")
    alone, whole = (table.query(f"drift == {drift}").sort_values("frames").iloc[-1] for drift in (0, 1))
    evidence = " ".join((ROOT / "docs" / "evidence.md").read_text().split())
    share = f"{100 * whole.ms / whole.segment_ms:.0f} %"
    assert f"it takes {alone.ms:.0f} ms a frame, with the drift {whole.ms:.0f}" in evidence
    assert f"`temlib segment --particles` {whole.segment_ms:.0f}: {share}" in evidence
    assert f"the network takes {whole.segment_one_ms:.0f} ms" in evidence
    page = " ".join((ROOT / "docs" / "clusters.md").read_text().split())
    for words in (
        f"OpenVINO | {whole.segment_ms:.0f} ms |",
        f"`temlib track` | {alone.ms:.0f} ms |",
        f"takes out the drift | {whole.ms:.0f} ms |",
        f"{whole.particles_bytes / 1e3:.1f} kB, {whole.row_bytes / 1e3:.1f} kB |",
        f"tracking takes {share}",
        f"| find the particles | {whole.segment_ms / 36:.1f} h | {whole.segment_ms / 360:.1f} h |",  # 1e5 frames
        f"| {whole.ms / 36:.1f} h | {whole.ms / 36:.1f} h | {whole.peak_mb:.0f} MB | {whole.row_bytes / 10:.0f} MB |",
        f"1 GB each | {whole.particles_bytes / 10:.0f} MB |",
    ):
        assert words in page, words


def tracking_line(source, rows):
    """The row of the table in the prose: means over movies, of the exponent how often its interval holds the truth."""
    mean, holds = rows.mean(numeric_only=True), rows["low"].le(rows["truth"]) & rows["high"].ge(rows["truth"])
    scores = [f"{mean[name]:.2f}" for name in ("hota", "association", "detection", "events_f1")]
    bias = f"{(rows['exponent'] - rows['truth']).mean():+.3f}"
    growth = [bias, f"{holds.sum()} of {len(rows)}", f"{100 * mean['diameter_error']:.1f} %"]
    drift = [f"{mean['drift_error_px']:.2f} px", f"{mean['track_ms']:.0f}, {mean['drift_ms']:.0f}"]
    segment = "-" if source == "truth" else f"{mean['segment_ms']:.0f}"
    return " | ".join([f"| {source}, {len(rows)}", *scores, *growth, *drift, segment]) + " |"
