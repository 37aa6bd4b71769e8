"""The demonstration: the whole story of enchain on one machine, on real parts. `make demo` runs it."""
