"""Doing what the pipeline machine decides: instances chosen, engines called, results brought back.

One named task per owned operation (`execution.py`), bounded in number (`executing.py`). Nothing is
decided here that a test could not decide in `dataplane/routing`.
"""
