"""`make bench`: how fast the trainer is beside the best loop that we can write by hand, and how soon it starts.

Absolute numbers say little: this machine may be busy, the next one is another. So each comparison is made of pairs, one
run of ours and one of the other right after it (and the other way round in the next pair), and what counts is the median
of the pairs' ratios, with the interval that holds it with 95 % confidence.

What reports cost is too little for pairs of runs: there the pairs are blocks of one run (`reporting`). With the operator
and a real API server it is measured how soon a report is seen (`visible`), and what a thousand jobs that report do to
a new one (`thousand`). How soon a gang is back after a failure is measured with real launchers (`restarts`).
"""
