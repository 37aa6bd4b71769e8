"""The `enchain` command. It talks gRPC only, and is a plain install's only program."""
