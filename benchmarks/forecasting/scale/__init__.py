"""What forecasting costs with many series: the parts of `benchmarks.forecasting.refresh`."""
