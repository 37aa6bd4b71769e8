"""What engines were measured to do: folded out of the outbox, judged for drift, shown as profiles.

PURE. `reader.py` is the folding loop's reader; `statistics.py` adds operations to sums and `sketch.py` keeps
their durations; `drift.py` tells a change from chance; `view.py` makes of the sums what people and planning
read; `starts.py` keeps how long instances take to start. `controlplane/catalog/profiles.py` reads it all from
the store.
"""
