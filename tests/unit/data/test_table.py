"""Tables of numbers, without TensorFlow: what a spreadsheet writes is read back, whatever its columns hold."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainingjob_trainer.data.errors import DataError, explain, marked
from trainingjob_trainer.data.table import CHUNK, Columns, Table

numbers = st.floats(-1e6, 1e6, width=32)


@settings(deadline=None)
@given(
    st.lists(st.tuples(numbers, numbers, st.text(min_size=1, max_size=5)), min_size=1, max_size=20),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_was_written_is_read(
    rows: list[tuple[float, float, str]], delimiter: str, quoting: "csv._QuotingType"
) -> None:
    rows = [(a, b, "c" + label.replace("\0", "")) for a, b, label in rows]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)
    writer.writerows([("a", "label", "b"), *((a, label, b) for a, b, label in rows)])
    text.seek(0)
    table = Table(Columns("label", delimiter=delimiter), "d")
    table.read("f", text)
    labels, classes = table.finished_labels()
    assert [classes[number] for number in labels] == [label.strip() for _, _, label in rows]
    assert list(classes) == sorted(set(classes))
    np.testing.assert_array_equal(np.concatenate(table.x), np.array([row[:2] for row in rows], np.float32))


def test_rows_beyond_a_chunk() -> None:
    table = Table(Columns("y"), "d")
    table.read("f", io.StringIO("x,y\n" + "".join(f"{n},{n % 3}\n" for n in range(2 * CHUNK + 5))))
    assert np.concatenate(table.x)[:, 0].tolist() == list(range(2 * CHUNK + 5))
    assert table.finished_labels()[0].tolist() == [n % 3 for n in range(2 * CHUNK + 5)]


@pytest.mark.parametrize(("cells", "kind"), [(["1", "2.0", "-3"], "i"), (["1", "2.5"], "f"), (["1e3"], "i")])
def test_labels_that_are_numbers(cells: list[str], kind: str) -> None:
    table = Table(Columns("y"), "d")
    table.read("f", io.StringIO("x,y\n" + "".join(f"0,{cell}\n" for cell in cells)))
    labels, classes = table.finished_labels()
    assert labels.dtype.kind == kind
    assert labels.tolist() == [float(cell) for cell in cells]
    assert classes == ()


@pytest.mark.parametrize("cell", ["", " ", "1,5", "0x10", "inf", "nan", "--", "1 2"])
def test_what_is_no_number(cell: str) -> None:
    table = Table(Columns("y", delimiter=";"), "d")
    with pytest.raises(DataError, match=r"^d\.path: 'f', line 3, column x: "):
        table.read("f", io.StringIO(f"x;y\n1;0\n{cell};0\n"))


def test_a_marked_text_is_found_in_the_middle_of_a_long_message() -> None:
    text = marked("spec.a.b", "is wrong:\n mend it")
    found = explain(RuntimeError(f"Graph execution error:\n{text} [[node]] and {text}"))
    assert found is not None
    assert (found.field, found.problem) == ("spec.a.b", "is wrong: mend it")
    assert str(found) == "spec.a.b: is wrong: mend it"
    assert explain(RuntimeError("something else")) is None
