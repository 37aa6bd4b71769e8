"""The global quantile LSTM. The only room that imports TensorFlow; only the worker process enters it."""
