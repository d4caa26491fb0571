"""A TensorBoard beside a job: its pod (pure), and its life from Ctrl-C's side."""
