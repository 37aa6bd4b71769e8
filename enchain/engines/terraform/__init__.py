"""The terraform engine: modules of Terraform or OpenTofu as steps.

Started by its console script; imported by nobody else. `engine.py` is the place to begin reading.
"""
