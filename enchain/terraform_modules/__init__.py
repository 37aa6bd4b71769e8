"""Reads Terraform modules: which variables a module takes, with which types, and which outputs it gives.

The terraform engine and `enchain init` call it. It reads files only: no tool is run, nothing is evaluated.
"""
