"""The declarative trainer: trains what `spec.training` says, `python3 -m trainingjob_trainer`."""
