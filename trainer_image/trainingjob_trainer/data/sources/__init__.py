"""One module for each kind of data set; each has `open_source(options, *, seed, field, classes)`."""
