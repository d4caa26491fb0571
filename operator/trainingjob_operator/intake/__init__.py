"""The intake: the HTTPS endpoint that takes the chiefs' reports, and the writer of `status.training`.

It runs on every replica, without the lease: reports may reach any of them. A report passes `tokens` (who sent it),
`authorize` (may that pod say this), `store` (the latest of each job) and, later and seldom, `view` and `flusher`
(into the status). It never wakes the reconciler.
"""
