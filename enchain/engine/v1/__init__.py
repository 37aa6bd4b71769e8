"""Generated from protos/enchain/engine/v1: the engine protocol."""
