"""Numbers from text files with columns. Python and numpy only.

Every cell is looked at once, and a wrong one is named by file, line and column: a shifted row must not train.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

import numpy as np

from trainingjob_trainer.data.errors import DataError
from trainingjob_trainer.errors import nearest, one_line

#: Rows that are turned into numbers at a time: bounds the memory that texts take.
CHUNK = 8_192


@dataclass(frozen=True)
class Columns:
    """Which columns are what; `features` empty means all others."""

    label: str
    features: tuple[str, ...] = ()
    weight: str | None = None
    delimiter: str = ","
    header: bool = True


@dataclass
class Table:
    """What has been read so far, of one or several files."""

    columns: Columns
    where: str
    """The data set's path in the resource."""
    features: tuple[str, ...] = ()
    x: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    ends: list[tuple[int, str, Sequence[int]]] = field(default_factory=list)
    """Of each file: how many rows there are with it, its name, the line of each of its rows."""

    def read(self, name: str, text: TextIO) -> None:
        """Add the rows of one file, opened with `newline=""`.

        Raises:
            DataError: a column is not there, or a cell is no number.
        """
        lines: list[int] = []
        reader = csv.reader(text, delimiter=self.columns.delimiter, strict=True)
        try:
            rows = self._rows(reader, lines)
            first = next(rows, None)
            if first is None:
                raise DataError(f"{self.where}.path", f"{name!r} is empty")
            names = [cell.strip() for cell in first] if self.columns.header else [str(n) for n in range(len(first))]
            picked = self._pick(names, name)
            if self.columns.header:
                lines.clear()
            else:
                rows = itertools.chain([first], rows)
            self._read_rows(rows, names, picked, name, lines)
        except csv.Error as error:
            problem = f"{name!r}, line {reader.line_num}: {one_line(error)}; are quotes closed?"
            raise DataError(f"{self.where}.path", problem) from None
        except UnicodeDecodeError as error:
            problem = f"{name!r} is no UTF-8 text ({one_line(error)}); convert it"
            raise DataError(f"{self.where}.path", problem) from None
        self.ends.append((len(self.labels), name, lines))

    @staticmethod
    def _rows(reader: Any, lines: list[int]) -> Iterator[list[str]]:
        for row in reader:
            if row:  # not a blank line
                lines.append(reader.line_num)
                yield row

    def _pick(self, names: list[str], file: str) -> tuple[int, list[int], int | None]:
        """Return the places of label, features and weight in this file's rows."""
        columns = self.columns
        label = self._place(columns.label, names, file, "label")
        weight = self._place(columns.weight, names, file, "sampleWeight") if columns.weight is not None else None
        others = [name for place, name in enumerate(names) if place not in (label, weight)]
        wanted = self.features or columns.features or tuple(others)
        if not wanted:
            raise DataError(f"{self.where}.features", f"{file!r} has no columns but the label's; is delimiter right?")
        self.features = wanted
        return label, [self._place(name, names, file, "features") for name in wanted], weight

    def _place(self, column: str, names: list[str], file: str, key: str) -> int:
        if names.count(column) == 1:
            return names.index(column)
        problem = f"{column!r} is {'twice' if column in names else 'not'} among the columns of {file!r}"
        hint = "" if column in names else nearest(column, names)
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise DataError(f"{self.where}.{key}", f"{problem}: {shown}.{hint}")

    def _read_rows(
        self, rows: Iterator[list[str]], names: list[str], picked: Any, file: str, lines: list[int]
    ) -> None:
        label, features, weight = picked
        numbers = features if weight is None else [*features, weight]
        while chunk := list(itertools.islice(rows, CHUNK)):
            first = len(lines) - len(chunk)  # of the chunk, among the file's rows
            for number, row in enumerate(chunk):
                if len(row) != len(names):
                    problem = f"has {len(row)} cells instead of {len(names)}; quote cells that hold the delimiter"
                    raise DataError(f"{self.where}.path", f"{file!r}, line {lines[first + number]} {problem}")
            try:
                flat = (float(row[place]) for row in chunk for place in numbers)
                block = np.fromiter(flat, np.float64, len(chunk) * len(numbers)).reshape(len(chunk), -1)
            except ValueError:
                block = None
            if block is None or not np.isfinite(block).all():
                raise self._wrong_cell(chunk, numbers, names, file, lines[first:])
            self.x.append(block[:, : len(features)].astype(np.float32))
            if weight is not None:
                self.weights.append(block[:, -1].astype(np.float32))
            self.labels += [row[label].strip() for row in chunk]

    def _wrong_cell(
        self, chunk: list[list[str]], numbers: list[int], names: list[str], file: str, lines: Sequence[int]
    ) -> DataError:
        for row, line in zip(chunk, lines, strict=True):
            for place in numbers:
                if _number(row[place]) is None:
                    remedy = "write a number, remove the row, or leave the column out of features"
                    place_said = f"{file!r}, line {line}, column {names[place]}"
                    return DataError(f"{self.where}.path", f"{place_said}: {row[place]!r} is no number; {remedy}")
        raise AssertionError("numpy refused a cell that Python takes")

    def finished_labels(self, known: Sequence[str] = ()) -> tuple[Any, tuple[str, ...]]:
        """Return (labels (n,), names of classes).

        Whole numbers are int64, other numbers float32, texts int64: their place in `known` or, without it, among the
        sorted texts.

        Raises:
            DataError: a label is missing, texts and numbers are mixed, or a class is not known.
        """
        numbers = {text: _number(text) for text in dict.fromkeys(self.labels)}
        texts = [text for text, number in numbers.items() if number is None]
        if not texts and not known:
            values = np.array([numbers[text] for text in self.labels], np.float64)
            whole = bool((values == np.round(values)).all())
            return values.astype(np.int64 if whole else np.float32), ()
        if "" in numbers or (len(texts) != len(numbers) and not known):
            wrong = "" if "" in numbers else texts[0]
            remedy = "write numbers only or texts only" if wrong else "write a label, or remove the row"
            raise DataError(f"{self.where}.label", f"{self.place_of(wrong)}: {wrong!r} is no number; {remedy}")
        classes = tuple(known) or tuple(sorted(texts))
        unknown = next((text for text in numbers if text not in classes), None)
        if unknown is not None:
            shown = ", ".join(classes[:20])
            problem = f"{self.place_of(unknown)}: {unknown!r} is no class of the training data: {shown}"
            raise DataError(f"{self.where}.label", f"{problem}.{nearest(unknown, classes)}")
        number_of: Mapping[str, int] = {text: number for number, text in enumerate(classes)}
        return np.array([number_of[text] for text in self.labels], np.int64), classes

    def place_of(self, label: str) -> str:
        """Return file, line and column of the first row that has this label."""
        row, before = self.labels.index(label), 0
        for end, name, lines in self.ends:
            if row < end:
                return f"{name!r}, line {lines[row - before]}, column {self.columns.label}"
            before = end
        raise AssertionError("a label that is in no file")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
