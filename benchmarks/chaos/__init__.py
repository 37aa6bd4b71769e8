"""Chaos: many operations on real parts while these are killed, frozen and cut off. `make chaos` runs it."""
