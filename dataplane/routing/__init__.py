"""Deciding, and nothing else: which chain a request gets, and what an operation does next.

PURE: no IO, no clock, no dice. `choose.py` answers from a table; `pipeline.py` is the machine `step(run,
event, now, jitter) -> (run, effects)`; `records.py` builds what the journal stores. The shell that
performs effects is `dataplane/dispatch`.
"""
