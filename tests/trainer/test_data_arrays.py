"""Sources that lie in memory: built in, .npz, CSV. What is wrong with a file is said with field, value and remedy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.data_files import everything, feed, write_text
from trainingjob.datasets import linear_regression, mnist
from trainingjob_trainer.data import DataError, open_source

FIELD = "spec.training.dataset"


def opened(dataset: dict[str, Any], **options: Any) -> Any:
    return open_source(dataset, seed=3, **options)


def refused(dataset: dict[str, Any], field: str, *said: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        opened(dataset, **options)
    assert str(caught.value).startswith(f"{FIELD}{field}: "), caught.value
    for text in said:
        assert text in str(caught.value)
    assert "\n" not in str(caught.value)


# built in


@pytest.mark.parametrize(("options", "part"), [({}, 0), ({"part": "train"}, 0), ({"part": "test"}, 1)])
def test_mnist_is_the_shipped_digits_with_a_channel(options: dict[str, Any], part: int) -> None:
    source = opened({"builtin": {"name": "mnist", **options}})
    x, y = mnist()[part]
    assert (source.size, source.x_spec.shape, source.x_spec.dtype) == (len(x), (28, 28, 1), tf.uint8)
    got_x, got_y, weight = everything(source, 500)
    assert (got_x[..., 0] == x * np.float32(1 / 255)).all()
    assert (got_y == y).all()
    assert (weight == 1).all()


def test_the_line_follows_from_the_seed() -> None:
    source = opened({"builtin": {"name": "linear-regression", "examples": 50, "slope": -3, "noise": 0.0}})
    x, y, _ = everything(source)
    expected = linear_regression(50, slope=-3, noise=0, seed=3)
    assert (x == expected[0]).all()
    assert (y == expected[1]).all()
    np.testing.assert_allclose(y, 1 - 3 * x, rtol=1e-6)
    other = everything(open_source({"builtin": {"name": "linear-regression", "examples": 50}}, seed=4))
    assert (other[0] != x).any()


def test_what_is_not_built_in_is_refused() -> None:
    refused({"builtin": {"name": "mnits"}}, ".builtin.name", "'mnits'", "Did you mean mnist?")
    refused({"builtin": {"name": "mnist", "part": "all"}}, ".builtin.part", "'all'", "train or test")
    refused({"builtin": {"name": "linear-regression", "examples": 0}}, ".builtin", "examples is 0")
    refused({}, "", "exactly one of builtin, npz")
    refused({"npz": {"path": "/a"}, "csv": {"path": "/b"}}, "", "names npz, csv")
    refused({"parquet": {"path": "/a"}}, "", "names parquet")


# .npz


def test_npz_with_names_and_weights(tmp_path: Path) -> None:
    x = np.arange(12, dtype=np.float64).reshape(6, 2)
    np.savez(tmp_path / "a.npz", images=x, digits=np.arange(6, dtype=np.uint8), w=np.linspace(0, 1, 6))
    options = {"path": str(tmp_path / "a.npz"), "input": "images", "label": "digits", "sampleWeight": "w"}
    source = opened({"npz": options})
    got = everything(source)
    assert source.x_spec.dtype == tf.float32
    assert (got[0] == x).all()
    assert got[1].tolist() == list(range(6))
    assert got[1].dtype == np.int64
    np.testing.assert_allclose(got[2], np.linspace(0, 1, 6), rtol=1e-6)


def test_npz_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, start in (("b", 3), ("a", 0), ("c", 6)):
        np.savez_compressed(
            tmp_path / f"{name}.npz", x=np.arange(start, start + 3, dtype=np.int16), y=np.ones((3, 2))
        )
    (tmp_path / "d.npz").mkdir()
    source = opened({"npz": {"path": str(tmp_path / "*.npz")}})
    x, y, _ = everything(source)
    assert x[:, 0].tolist() == list(range(9))  # a number for each example is a vector of one
    assert feed(source).x_spec.shape == (1,)
    assert y.shape == (9, 2)
    assert y.dtype == np.float32


def save(path: Path, **arrays: Any) -> dict[str, Any]:
    np.savez(path, **arrays)
    return {"npz": {"path": str(path)}}


def test_npz_errors(tmp_path: Path) -> None:
    x, y = np.zeros((4, 2)), np.zeros(4)
    refused({"npz": {"path": str(tmp_path / "none.npz")}}, ".npz.path", "none.npz", "no file has that name")
    refused({"npz": {"path": str(tmp_path / "*.npz")}}, ".npz.path", "*.npz")
    refused(save(tmp_path / "a.npz", inputs=x, y=y), ".npz.input", "'x'", "holds inputs, y")
    refused(save(tmp_path / "a.npz", x=x, labels=y), ".npz.label", "'y'", "holds x, labels")
    refused({"npz": {"path": str(tmp_path / "a.npz"), "label": "label"}}, ".npz.label", "Did you mean labels?")
    refused(save(tmp_path / "b.npz", x=x, y=y[:3]), ".npz.path", "differ in length: x 4, y 3")
    refused(save(tmp_path / "c.npz", x=x[:0], y=y[:0]), ".npz", "no examples")
    refused(save(tmp_path / "c.npz", x=np.zeros((4, 0)), y=y), ".npz", "without values")
    refused(save(tmp_path / "d.npz", x=x, y=np.array([0, 1, np.nan, np.inf])), ".npz", "2 of 4", "first example 2")
    refused(save(tmp_path / "e.npz", x=np.array(["a"] * 4), y=y), ".npz", "x holds <U1", "numbers")
    refused(save(tmp_path / "f.npz", x=np.array([{}] * 4), y=y), ".npz.path", "Python objects")
    refused(save(tmp_path / "f.npz", x=np.zeros(4, complex), y=y), ".npz", "complex")
    refused(save(tmp_path / "g.npz", x=np.float32(1), y=y), ".npz.path", "x 0, y 4")
    weighted = save(tmp_path / "h.npz", x=x, y=y, w=np.ones((4, 2)))
    refused({"npz": {**weighted["npz"], "sampleWeight": "w"}}, ".npz", "(4, 2)", "one for each of the 4")
    nan = save(tmp_path / "i.npz", x=x, y=y, w=np.array([1, np.nan, 1, 1]))
    refused({"npz": {**nan["npz"], "sampleWeight": "w"}}, ".npz", "sample weight", "first example 1")
    (tmp_path / "j.npz").write_bytes(b"PK\x03\x04 and no more")
    refused({"npz": {"path": str(tmp_path / "j.npz")}}, ".npz.path", "j.npz", "is no .npz file, or was cut off")
    (tmp_path / "k.npz").write_text("no numpy at all")
    refused({"npz": {"path": str(tmp_path / "k.npz")}}, ".npz.path", "k.npz")
    np.save(tmp_path / "l.npy", x)
    refused({"npz": {"path": str(tmp_path / "l.npy")}}, ".npz.path", "is no .npz file", "numpy.savez")
    refused({"npz": {"path": "nowhere://bucket/a.npz"}}, ".npz.path", "nowhere", "cannot be read")


def test_npz_files_of_other_shapes_do_not_mix(tmp_path: Path) -> None:
    save(tmp_path / "a.npz", x=np.zeros((2, 3)), y=np.zeros(2))
    save(tmp_path / "b.npz", x=np.zeros((2, 4)), y=np.zeros(2))
    refused({"npz": {"path": str(tmp_path / "[ab].npz")}}, ".npz.input", "b.npz", "(4,)", "(3,)")


# CSV


def test_csv_with_texts_as_labels(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "iris.csv",
        "length,width,species,w",
        '1.5,2,"setosa, wild",1',
        "-3e2, 4 ,virginica,2",
        "",
        '"5",6,setosa,0.5',
    )
    source = opened({"csv": {"path": path, "label": "species", "sampleWeight": "w"}})
    x, y, weight = everything(source)
    assert x.tolist() == [[1.5, 2], [-300, 4], [5, 6]]
    assert source.classes == ("setosa", "setosa, wild", "virginica")
    assert y.tolist() == [1, 2, 0]
    assert weight.tolist() == [1, 2, 0.5]


def test_csv_columns_are_chosen_by_name_whatever_their_place(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "a;b;y;c", "1;2;0;3")
    write_text(tmp_path / "b.csv", "y;c;b;a", "1;6;5;4")
    options = {"path": str(tmp_path / "*.csv"), "label": "y", "delimiter": ";"}
    x, y, _ = everything(opened({"csv": {**options, "features": ["c", "a"]}}))
    assert x.tolist() == [[3, 1], [6, 4]]
    assert y.tolist() == [0, 1]
    x, _, _ = everything(opened({"csv": options}))
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_csv_without_header_has_numbered_columns(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.csv", "1,2,0.5", "3,4,1.5")
    x, y, _ = everything(opened({"csv": {"path": path, "label": "2", "header": False}}))
    assert x.tolist() == [[1, 2], [3, 4]]
    assert y.tolist() == [0.5, 1.5]
    assert y.dtype == np.float32


def test_csv_of_excel_begins_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("y,größe\r\n1,2\r\n0,3\r\n".encode("utf-8-sig"))
    x, y, _ = everything(opened({"csv": {"path": str(tmp_path / "a.csv"), "label": "y"}}))
    assert x.tolist() == [[2], [3]]
    assert y.tolist() == [1, 0]


def test_a_validation_file_takes_the_classes_of_the_training(tmp_path: Path) -> None:
    train = write_text(tmp_path / "train.csv", "x,y", "1,ape", "2,bee", "3,cat")
    other = write_text(tmp_path / "other.csv", "x,y", "4,cat", "5,bee")
    classes = opened({"csv": {"path": train, "label": "y"}}).classes
    source = opened({"csv": {"path": other, "label": "y"}}, classes=classes)
    assert everything(source)[1].tolist() == [2, 1]
    unknown = write_text(tmp_path / "unknown.csv", "x,y", "4,cat", "5,beee")
    said = ("unknown.csv", "line 3", "'beee'", "ape, bee, cat", "Did you mean bee?")
    refused({"csv": {"path": unknown, "label": "y"}}, ".csv.label", *said, classes=classes)


def test_csv_errors_name_file_line_and_column(tmp_path: Path) -> None:
    def csv(*lines: str, **options: Any) -> dict[str, Any]:
        return {"csv": {"path": write_text(tmp_path / "a.csv", *lines), "label": "y", **options}}

    refused(
        csv("a,y", "1,0", "x,1"), ".csv.path", "a.csv", "line 3", "column a", "'x' is no number", "write a number"
    )
    refused(csv("a,b,y", "1,,0"), ".csv.path", "line 2", "column b", "''")
    refused(csv("a,y", "nan,0"), ".csv.path", "line 2", "'nan'")
    refused(csv("a,b,y", '"1\n",2,0', "3,4,1", "5,6,1,9"), ".csv.path", "line 5", "4 cells instead of 3", "quote")
    refused(csv("a,y", "1,0", "2,"), ".csv.label", "line 3", "column y", "write a label")
    refused(csv("a,y", "1,0", "2,one"), ".csv.label", "line 3", "'one' is no number", "texts only")
    refused(csv("a,b", "1,0"), ".csv.label", "'y' is not among", "a, b")
    refused(csv("aa,y", "1,0", features=["aaa"]), ".csv.features", "'aaa'", "Did you mean aa?")
    refused(csv("y,y,a", "1,0,2"), ".csv.label", "'y' is twice")
    refused(csv("y", "1"), ".csv.features", "delimiter")
    refused(csv("a,y", "1,0", sampleWeight="w"), ".csv.sampleWeight", "'w'")
    refused(csv("a,w,y", "1,heavy,0", sampleWeight="w"), ".csv.path", "column w", "'heavy'")
    refused(csv("a,y"), ".csv.path", "no rows")
    refused(csv('a,y\n1,"0'), ".csv.path", "line 2", "are quotes closed?")
    (tmp_path / "empty.csv").write_bytes(b"")
    refused({"csv": {"path": str(tmp_path / "empty.csv"), "label": "y"}}, ".csv.path", "is empty")
    (tmp_path / "latin.csv").write_bytes("größe,y\n1,0\n".encode("latin-1"))
    refused({"csv": {"path": str(tmp_path / "latin.csv"), "label": "y"}}, ".csv.path", "no UTF-8")
    refused({"csv": {"path": str(tmp_path / "none.csv"), "label": "y"}}, ".csv.path", "no file has that name")


def test_a_wrong_cell_is_found_far_down_and_in_the_second_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "a,y", *["1,0"] * 20_000)
    write_text(tmp_path / "b.csv", "a,y", *["1,0"] * 9_000, "1,oops")
    refused({"csv": {"path": str(tmp_path / "*.csv"), "label": "y"}}, ".csv.label", "b.csv', line 9002", "'oops'")


@pytest.mark.parametrize("kind", ["npz", "csv", "tfrecord", "images"])
def test_a_path_is_needed(kind: str) -> None:
    options = {"label": "y", "size": [2, 2], "features": {"x": {"type": "int"}, "y": {"type": "int"}}}
    if kind == "csv":
        options["features"] = ["x"]
        refused({"csv": {"path": "/data"}}, ".csv.label", "is missing")
    refused({kind: options}, f".{kind}.path", "is None", "gs://bucket/data")
