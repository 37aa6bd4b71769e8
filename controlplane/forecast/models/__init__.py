"""The models that need no TensorFlow, one file each, all behind `controlplane.forecast.port`."""
