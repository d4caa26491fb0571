"""The TrainingJob operator: a kopf shell around a pure core."""

#: The same in pyproject.toml and in the chart, as a test makes sure; an image holds neither.
__version__ = "0.1.0"
