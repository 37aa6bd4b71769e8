"""The SDK for engine authors: the Engine port and the server that speaks the protocol for it."""
