"""The control plane's services: one file each, which translates requests into calls of the catalogue.

`controlplane.main` registers them. Nothing is decided here.
"""
