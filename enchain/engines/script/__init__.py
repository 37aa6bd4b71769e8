"""The script engine: any executable that reads one JSON document and answers in JSON lines does a step.

`docs/script-engine.md` is the contract that authors of scripts read.
"""
