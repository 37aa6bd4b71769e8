"""The conformance suite for engines in any language: `enchain-engine-conformance HOST:PORT`.

It speaks the engine protocol and nothing else: it needs neither the SDK's server nor the language it is
written in. `docs/conformance.md` is the page to read first.
"""
