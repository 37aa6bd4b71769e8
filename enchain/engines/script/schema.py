"""From a manifest to the schema of the engine's inputs and outputs. Pure; the engine calls it."""

from typing import Any

from enchain.engines.script.manifest import Manifest

RUN_ITEMS_MAX = 64

Schema = dict[str, Any]


def inputs_schema(manifest: Manifest) -> Schema:
    """Answer the JSON Schema of the inputs beside the bundle: `run`, the command, and `with`, its values."""
    required = [] if manifest.run else ["run"]
    if manifest.inputs.get("required"):
        required.append("with")
    return {
        "type": "object",
        "properties": {
            "run": {
                "description": "The command and its arguments, never passed through a shell. What begins"
                " with `./` is a file of the bundle.",
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "maxItems": RUN_ITEMS_MAX,
            },
            "with": {"description": "The script's inputs.", **manifest.inputs},
        },
        "required": required,
        "additionalProperties": False,
    }


def outputs_schema(manifest: Manifest) -> Schema:
    """Answer the JSON Schema of the outputs."""
    return dict(manifest.outputs)
