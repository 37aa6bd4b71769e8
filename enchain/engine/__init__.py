"""The engine protocol, by version."""
