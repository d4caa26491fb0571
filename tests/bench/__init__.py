"""`make bench`: how fast the trainer is beside the best loop that we can write by hand, and how soon it starts.

Absolute numbers say little: this machine may be busy, the next one is another. So each comparison is made of pairs, one
run of ours and one of the other right after it (and the other way round in the next pair), and what counts is the median
of the pairs' ratios.
"""
