"""Artifacts: directories packed into canonical tars, stored by digest, and unpacked safely."""
