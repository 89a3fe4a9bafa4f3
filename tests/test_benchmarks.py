"""What the benchmarks share."""

from tests.benchmarks.resumable import Results


def test_a_rerun_goes_on_where_the_last_one_stopped(tmp_path):
    path = tmp_path / "results.csv"
    first = Results(path, ("way", "seed"))
    assert not first.has("a", 1)
    first.add([{"way": "a", "seed": 1, "iou": 0.123456}])
    first.add([{"way": "a", "seed": 2, "iou": 0.5}, {"way": "a", "seed": 2, "iou": 0.6}])
    again = Results(path, ("way", "seed"))
    assert [again.has(*key) for key in (("a", 1), ("a", 2), ("b", 1), ("a", 3))] == [True, True, False, False]
    assert again.table["iou"].tolist() == [0.1235, 0.5, 0.6]
    again.forget(again.table["seed"] == 2)
    assert not again.has("a", 2)
    again.add([{"way": "b", "seed": 1, "iou": 1.0}])
    assert Results(path, ("way", "seed")).table["way"].tolist() == ["a", "b"]
    assert [file.name for file in tmp_path.iterdir()] == ["results.csv"]
