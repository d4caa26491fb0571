"""Prometheus: what the operator does, and what the jobs do, on `/metrics` of every replica.

Nothing else in the operator knows Prometheus: its parts call hooks that they are given, and are asked when a scrape
comes.
"""
