"""The offline backtest: files of demand in, forecasts from past origins and how good they were out.

`python -m controlplane.forecast.backtest` runs it; `enchain forecast backtest` starts that. No server is
needed, and none ever imports it.
"""
