"""The process in which models run, and how the leader talks to it.

An API process never imports their libraries.
"""
