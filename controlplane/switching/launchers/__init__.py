"""How instances of engines are started and ended: one port, and a launcher for each kind of place.

The leader's loop that keeps pools calls them. They decide nothing: which instances are wanted is
`pool_rules`.
"""
