"""Data sets of declarative training: where examples come from and which part of them is input, which is label.

No field is called x or y: YAML as kubectl reads it takes the key y for true.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from trainingjob_operator.api.rules import Rule, exactly_one
from trainingjob_operator.api.types import Model, Passthrough

#: On a volume, or where the image's TensorFlow reads: gs://, with a plugin s3:// and others.
DATA_PATH_PATTERN = r"^(/|[a-z][a-z0-9+.-]*://)[^\s]*$"
DataPath = Annotated[str, StringConstraints(pattern=DATA_PATH_PATTERN, max_length=1024)]
FUNCTION_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
_Name = Annotated[str, StringConstraints(min_length=1, max_length=253)]
_Size = Annotated[int, Field(ge=1, le=65536)]


class PythonObject(Model):
    """A function of your own: in the image, or in training.source."""

    function: Annotated[str, StringConstraints(pattern=FUNCTION_PATTERN, max_length=253)]
    """Module and function, like my_data:load."""
    arguments: Passthrough | None = None
    """Named arguments that it is called with."""


class BuiltinDataset(Model):
    """Data that comes with the trainer image."""

    object_rules: ClassVar = (
        Rule(
            "self.name == 'mnist' || !has(self.part)",
            "part is of mnist; linear-regression has examples, slope, intercept and noise",
            lambda self: self.name == "mnist" or self.part is None,
        ),
        Rule(
            "self.name != 'mnist' || !(has(self.examples) || has(self.slope) || has(self.intercept)"
            " || has(self.noise))",
            "examples, slope, intercept and noise are of linear-regression; mnist has part",
            lambda self: (
                self.name != "mnist"
                or (self.examples is None and self.slope is None and self.intercept is None and self.noise is None)
            ),
        ),
    )

    name: Literal["mnist", "linear-regression"]
    """mnist: 10,000 real handwritten digits, 28 by 28 pixels. linear-regression: y = slope·x + intercept + noise."""
    part: Literal["train", "test"] | None = None
    """Of mnist: the 8,000 digits for training, which is the default, or the 2,000 for testing."""
    examples: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Of linear-regression: how many. Default: 1000."""
    slope: float | None = None
    """Of linear-regression. Default: 2."""
    intercept: float | None = None
    """Of linear-regression. Default: 1."""
    noise: Annotated[float, Field(ge=0)] | None = None
    """Of linear-regression: standard deviation of the noise. Default: 0.1."""


class NpzDataset(Model):
    """Arrays of NumPy."""

    path: DataPath
    """One file or, with wildcards, several in the order of their names."""
    input: _Name = "x"
    """Name of the array of inputs."""
    label: _Name = "y"
    """Name of the array of labels."""
    sample_weight: _Name | None = None
    """Name of the array of sample weights."""


class CsvDataset(Model):
    """Numbers in text files."""

    path: DataPath
    """One file or, with wildcards, several in the order of their names."""
    label: _Name
    """Column of the labels. Texts become class numbers, in their sorted order."""
    features: Annotated[list[_Name], Field(min_length=1, max_length=4096)] | None = None
    """Columns of the inputs, in this order. Default: all others."""
    sample_weight: _Name | None = None
    """Column of the sample weights."""
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    """What separates columns."""
    header: bool = True
    """Whether the first line names the columns. Without it columns are called 0, 1, 2 and so on."""


class TFRecordFeature(Model):
    """One feature of the Example messages in TFRecord files."""

    type: Literal["bytes", "float", "int"]
    """Which list of the Example holds it."""
    shape: Annotated[list[_Size], Field(max_length=8)] | None = None
    """Its shape. Default: one number, or for an image its own size."""
    decode: Literal["raw", "image"] | None = None
    """What bytes hold: raw numbers, or an encoded image (JPEG, PNG, GIF, BMP)."""
    dtype: Literal["uint8", "int8", "int16", "uint16", "int32", "int64", "float32", "float64"] | None = None
    """Of raw numbers. Default: uint8."""
    channels: Literal[1, 3, 4] | None = None
    """Of images. Default: 3."""


class TFRecordDataset(Model):
    """Example messages in TFRecord files."""

    path: DataPath
    """One file or, with wildcards, several in the order of their names."""
    compression: Literal["none", "gzip", "zlib"] = "none"
    """How the files are compressed."""
    features: Annotated[dict[str, TFRecordFeature], Field(min_length=1, max_length=64)]
    """Features to read, by name."""
    input: _Name = "x"
    """The feature that is the input."""
    label: _Name = "y"
    """The feature that is the label."""
    sample_weight: _Name | None = None
    """The feature that is the sample weight."""
    examples: Annotated[int, Field(ge=1)] | None = None
    """How many there are. Default: they are counted at the start."""


class ImagesDataset(Model):
    """Folders of images, one for each class."""

    path: DataPath
    """The folder that holds the classes' folders. Their names, sorted, are classes 0, 1, 2 and so on."""
    size: Annotated[list[_Size], Field(min_length=2, max_length=2)]
    """Height and width that images are brought to."""
    channels: Literal[1, 3, 4] = 3
    """1: grey, 3: colour, 4: colour and transparency."""


class Dataset(Model):
    """Where examples come from: one of these."""

    object_rules: ClassVar = (exactly_one("builtin", "npz", "csv", "tfrecord", "images", "builder"),)

    builtin: BuiltinDataset | None = None
    """Data that comes with the trainer image."""
    npz: NpzDataset | None = None
    """Arrays of NumPy."""
    csv: CsvDataset | None = None
    """Numbers in text files."""
    tfrecord: TFRecordDataset | None = None
    """Example messages in TFRecord files."""
    images: ImagesDataset | None = None
    """Folders of images, one for each class."""
    builder: PythonObject | None = None
    """A function of your own that returns (x, y) or (x, y, sample weights) as arrays, or a tf.data.Dataset of single
    examples."""
