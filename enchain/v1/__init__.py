"""Generated from protos/enchain/v1: the contract of both planes."""
