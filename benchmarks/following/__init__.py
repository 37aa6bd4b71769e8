"""The follow suite: what a follower delivers under faults, against the full history of a real etcd.

`benchmarks/follow_suite.py` calls it, and a share of it runs in the tests. `planning` draws a run from its
seed, `running` carries it out with `faults` on `arenas`, `lives` holds the truth, `judging` compares.
"""
