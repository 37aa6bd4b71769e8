"""The demonstration of scaling: real traces in compressed time, on real engines, under three policies."""
