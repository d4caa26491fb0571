"""Declarative training: what `spec.training` holds, and the checkpoints, outputs and ends that go with it.

Fields that Keras has a word for have Keras's word. Whatever Keras has a name for (optimizers, losses, metrics,
layers, schedules) is written in one notation, `KerasObject`; `core/keras_names.py` judges names and parameters.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from trainingjob_operator.api.data import DataPath, Dataset, PythonObject
from trainingjob_operator.api.program import ProgramSource
from trainingjob_operator.api.rules import Rule, exactly_one
from trainingjob_operator.api.types import MetricName, Model
from trainingjob_operator.api.volumes import VolumeSource

MAX_KERAS_NAME = 128
#: Keras JSON travels in one environment variable with the rest; Linux takes 128 KiB for one.
MAX_MODEL_JSON = 65536


def _keras_object(value: Any) -> str | dict[str, Any]:
    if isinstance(value, str) and 0 < len(value) <= MAX_KERAS_NAME:
        return value
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return value
    raise PydanticCustomError(
        "keras_object",
        "must be a name like adam, or one name with its parameters like {Adam: {learning_rate: 0.001}}",
    )


#: A Keras name, or an object of one name and its parameters in Keras's own spelling. A CRD has no such union.
KerasObject = Annotated[
    str | dict[str, Any],
    PlainValidator(_keras_object),
    WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True}),
]


class Validation(Model):
    """Examples that are not trained on; val_loss and val_ metrics come from them."""

    object_rules: ClassVar = (exactly_one("split", "dataset"),)

    split: Annotated[float, Field(gt=0, lt=1)] | None = None
    """This part of the training data is kept for validation. Which examples, follows from the seed."""
    dataset: Dataset | None = None
    """A data set of its own."""
    every_steps: Annotated[int, Field(ge=1)] | None = None
    """Validate after so many steps. Default: after each epoch."""


class Crop(Model):
    """Shifts images: a border of zeros is added, and a random part of the image's own size is cut out."""

    padding: Annotated[int, Field(ge=1, le=1024)]
    """Width of the border in pixels."""


class Rotate(Model):
    """Turns images by a random angle."""

    degrees: Annotated[float, Field(gt=0, le=180)]
    """The largest angle, to either side."""


class Brightness(Model):
    """Makes images brighter or darker by a random amount."""

    delta: Annotated[float, Field(gt=0, le=1)]
    """The largest change, as a part of the range of values."""


class Augmentation(Model):
    """One random change of training images. The same example in the same epoch is always changed the same way."""

    object_rules: ClassVar = (exactly_one("flip", "crop", "rotate", "brightness"),)

    flip: Literal["horizontal", "vertical", "both"] | None = None
    """Mirror half of the images."""
    crop: Crop | None = None
    """Shift images."""
    rotate: Rotate | None = None
    """Turn images."""
    brightness: Brightness | None = None
    """Make images brighter or darker."""


class Normalize(Model):
    """How inputs become numbers of a good size: times scale, minus mean, divided by std."""

    scale: float = 1.0
    """Inputs are multiplied by it first."""
    mean: Annotated[list[float], Field(min_length=1, max_length=4096)] | None = None
    """Subtracted: one number, or one for each channel or feature."""
    std: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1, max_length=4096)] | None = None
    """Divided by: one number, or one for each channel or feature."""


class Pipeline(Model):
    """From examples to batches. A batch follows from the step alone, whatever the number of members."""

    shuffle: bool = True
    """Whether each epoch has an order of its own, by the seed."""
    cache: Literal["none", "memory"] = "none"
    """memory: all examples are read and decoded once, at the start, and kept; for data that is read from files."""
    prefetch: Annotated[int, Field(ge=0, le=1024)] = 2
    """How many batches are made ahead."""
    normalize: Normalize | None = None
    """How inputs are scaled. Default: bytes (0 to 255) are divided by 255, other numbers stay."""
    one_hot: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    """Labels become one-hot vectors of so many classes, as categorical_crossentropy wants them."""
    augment: Annotated[list[Augmentation], Field(max_length=16)] | None = None
    """Random changes of training images, in this order."""


class TrainingModel(Model):
    """What is trained, in one of four ways."""

    object_rules: ClassVar = (
        Rule(
            "",  # preset has no type for the API server's rules
            "must have exactly one of preset, layers, json, builder",
            lambda self: sum(x is not None for x in (self.preset, self.layers, self.keras_json, self.builder)) == 1,
        ),
    )

    preset: KerasObject | None = None
    """A model by name: Linear, MLP or CNN, or one of keras.applications, like ResNet50. Weights are random."""
    layers: Annotated[list[KerasObject], Field(min_length=1, max_length=1000)] | None = None
    """Keras layers, one after another, like {Dense: {units: 10}}. The input's shape is the data's."""
    keras_json: Annotated[
        Annotated[str, StringConstraints(min_length=2, max_length=MAX_MODEL_JSON)] | None, Field(alias="json")
    ] = None
    """What Keras's model.to_json() returns."""
    builder: PythonObject | None = None
    """A function of your own that returns a Keras model."""


class GradientClipping(Model):
    """Limits gradients before they are applied."""

    object_rules: ClassVar = (exactly_one("norm", "globalNorm", "value"),)

    norm: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of each variable's gradient."""
    global_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of all gradients together."""
    value: Annotated[float, Field(gt=0)] | None = None
    """Largest absolute value of each number."""


_CLASS_NUMBERS = Rule(
    "self.all(name, name.matches('^(0|[1-9][0-9]*)$'))",
    'keys must be class numbers in quotes, like "3"',
    lambda weights: all(name.isascii() and name.isdecimal() and str(int(name)) == name for name in weights),
)


class Training(Model):
    """Training without a program: the operator's trainer does it."""

    object_rules: ClassVar = (exactly_one("epochs", "steps"),)

    source: ProgramSource | None = None
    """Python files of yours that dataset.builder or model.builder name. They can be imported from the working
    directory."""
    dataset: Dataset
    """The examples to train on."""
    validation: Validation | None = None
    """Examples that are not trained on."""
    pipeline: Pipeline = Pipeline()
    """From examples to batches."""
    model: TrainingModel
    """What is trained."""
    optimizer: KerasObject = "adam"
    """An optimizer by its Keras name, like adam, or {SGD: {learning_rate: 0.1, momentum: 0.9}}. learning_rate may be
    a schedule, like {CosineDecay: {initial_learning_rate: 0.1, decay_steps: 2000}}."""
    loss: KerasObject
    """A loss by its Keras name, like mse or {SparseCategoricalCrossentropy: {from_logits: true}}; and
    WeightedBinaryCrossentropy with pos_weight."""
    metrics: Annotated[list[KerasObject], Field(max_length=32)] | None = None
    """Metrics by their Keras names, like accuracy or {F1Score: {average: macro}}."""
    class_weights: (
        Annotated[dict[str, Annotated[float, Field(ge=0)]], Field(min_length=1, max_length=1000), _CLASS_NUMBERS]
        | None
    ) = None
    """How much an example of a class counts in the loss, by the class's number. Classes not named count 1."""
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How often all examples are trained on. Exactly one of epochs and steps."""
    steps: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """How many batches are trained on."""
    global_batch_size: Annotated[int, Field(ge=1, le=16_777_216)] = 32
    """Examples of one step, over all members."""
    gradient_clipping: GradientClipping | None = None
    """Limits gradients before they are applied."""
    gradient_accumulation: Annotated[int, Field(ge=1, le=65536)] = 1
    """In how many parts each batch is computed, one after another: less memory, the same result."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """What layers compute in; variables stay float32. float16 needs GPUs."""
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 0
    """Of initial weights, order and augmentation. The same seed gives the same training on any number of members."""


class Checkpoint(Model):
    """Where and when the training saves its state, and from where it resumes. Only the chief reads and writes it."""

    object_rules: ClassVar = (
        exactly_one("path", "volume"),
        Rule(
            "!(has(self.everySteps) && has(self.everySeconds))",
            "must have at most one of everySteps, everySeconds",
            lambda self: self.every_steps is None or self.every_seconds is None,
        ),
    )

    path: DataPath | None = None
    """A folder on one of the job's volumes, or gs://, or where else the image's TensorFlow writes. A folder
    belongs to one training: who is given it, resumes it."""
    volume: VolumeSource | None = None
    """A volume for the checkpoints alone. Members see it as /checkpoints."""
    every_steps: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Save after so many steps."""
    every_seconds: Annotated[int, Field(ge=1, le=86400)] | None = None
    """Save after so many seconds. Default, without everySteps: 60."""
    keep: Annotated[int, Field(ge=1, le=1000)] = 3
    """How many of the newest are kept."""


class Output(Model):
    """Where the trained model goes."""

    object_rules: ClassVar = (exactly_one("path", "volume"),)

    path: DataPath | None = None
    """A folder on one of the job's volumes, or gs://, or where else the image's TensorFlow writes."""
    volume: VolumeSource | None = None
    """A volume for the model alone. Members see it as /output."""
    format: Literal["keras", "savedModel"] = "keras"
    """keras: one file, model.keras. savedModel: a folder, saved_model, for TensorFlow Serving."""


class StopWhen(Model):
    """When training is good enough, or gets no better."""

    object_rules: ClassVar = (
        Rule(
            "has(self.reaches) || has(self.patience)",
            "must have reaches, patience, or both",
            lambda self: self.reaches is not None or self.patience is not None,
        ),
    )

    metric: MetricName
    """Name of a reported metric, like val_loss."""
    reaches: float | None = None
    """Stop as soon as the metric is this good."""
    patience: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Stop after so many evaluations of the metric without a better value: epochs, or validations where
    validation.everySteps is set."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether less or more is better. auto: less, for losses and errors; more, for accuracy and the like."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """A value is better only when it is so much better."""
    restore_best: bool = False
    """Whether the weights of the best value are taken at the end."""
