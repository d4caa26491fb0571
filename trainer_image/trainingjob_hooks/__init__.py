"""What we change in a user's own Keras program, so that it trains on many workers, reports and resumes unchanged.

`site/sitecustomize.py` lies first on the trainer's PYTHONPATH and starts `bootstrap`; nothing is touched before the
program imports TensorFlow or Keras, and nothing at all outside of a TrainingJob. Standard library until then.
"""
