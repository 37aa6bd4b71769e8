"""The control plane: it keeps the catalogue, decides what should run, and moves routes.

It shares only the contract (`enchain`) with the data plane and never imports it.
"""
