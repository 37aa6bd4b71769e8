"""What only the leader of the control plane's replicas does: the election, and the loops that run in a term.

`controlplane/main.py` starts the election. A loop gets a store through which only the leader can write, so
that it cannot do harm after its term, and writes nothing by any other way.
"""
