"""Keras, brought in once: quiet, with as many threads as the environment grants, on whatever backend is set.

Only the modules of this room import it, and through it TensorFlow; importing it takes seconds. It must never
be imported by an API process.
"""

import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

with warnings.catch_warnings():
    # TensorFlow and its neighbours deprecate among themselves while they are imported; none of it is ours.
    warnings.simplefilter("ignore")
    import keras

THREADS = "OMP_NUM_THREADS"
"""The environment's variable that says how many threads one operation may use."""


def limit_threads() -> None:
    """Use as many threads as the environment grants; a TensorFlow that has already started keeps its own."""
    granted = os.environ.get(THREADS, "")
    if keras.backend.backend() != "tensorflow" or not granted.isdigit():
        return
    import tensorflow as tf  # noqa: PLC0415 - only where it is the backend

    try:
        tf.config.threading.set_intra_op_parallelism_threads(int(granted))
        tf.config.threading.set_inter_op_parallelism_threads(int(granted))
    except RuntimeError:
        return


limit_threads()
__all__ = ["keras"]
