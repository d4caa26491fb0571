"""The TrainingJob operator: a kopf shell around a pure core."""
