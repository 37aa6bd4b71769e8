"""How a route moves from chain to chain: the states of a chain switch.

`controlplane.catalog.routes` calls it. It knows neither the store nor a clock.
"""
