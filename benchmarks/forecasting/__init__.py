"""Benchmarks of the forecasts: other scalers' methods in the same backtest, and what comes of it."""
