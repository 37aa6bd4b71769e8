"""Benchmark of scaling: what forecasts are worth when capacity takes time to come, on real traces."""
