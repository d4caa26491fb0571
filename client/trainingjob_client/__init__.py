"""What people do with TrainingJobs besides `kubectl apply`: a kubectl plugin, and the same from Python."""

from trainingjob_client.tfjob import Conversion, Level, Note, convert

__all__ = ["Conversion", "Level", "Note", "convert"]
