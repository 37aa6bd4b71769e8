"""Forecasts of demand: the models behind one port, their combination and calibration.

The leader's forecasting loop, the worker process and the offline backtest call it. What decides is pure; the
rooms of models import heavy libraries only inside the worker. Only `lstm` imports TensorFlow.
"""
