"""The router: carries every request through the chain that is in force."""
