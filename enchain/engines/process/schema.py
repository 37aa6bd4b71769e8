"""What a process step takes and gives, as JSON Schema.

The engine's class attributes are made of it. What a schema cannot say is checked in `checks`. Pure.
"""

from enchain.chains.values import Json
from enchain.engines.process.durations import PATTERN

FILES_MAX = 256
SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL")
POLICIES = ("always", "on-failure", "never")

_DURATION: dict[str, Json] = {"type": "string", "pattern": PATTERN}

INPUTS: dict[str, Json] = {
    "type": "object",
    "required": ["run"],
    "additionalProperties": False,
    "properties": {
        "run": {
            "description": "The command and its arguments; never passed through a shell.",
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": 256,
        },
        "files": {
            "description": "Files to lay down in the service's directory, content by relative path.",
            "type": "object",
            "additionalProperties": {"type": "string"},
            "maxProperties": FILES_MAX,
        },
        "env": {
            "description": "Variables beside PATH, HOME and LANG. Secrets are resolved at the start.",
            "type": "object",
            "additionalProperties": {"type": "string"},
            "maxProperties": 256,
        },
        "ready": {
            "description": "When the service counts as started. Default: its port is open, where it has one.",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "http": {"type": "string", "description": "A path that answers with 200 to 399."},
                "tcp": {"type": "boolean", "description": "The port is open."},
                "within": _DURATION,
            },
        },
        "restart": {
            "description": "What to do when the service ends by itself.",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "policy": {"type": "string", "enum": list(POLICIES)},
                "max": {"type": "integer", "minimum": 0, "maximum": 1000000},
                "backoff": _DURATION,
            },
        },
        "stop": {
            "description": "How to ask the service to end, and how long it has for it.",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "signal": {"type": "string", "enum": list(SIGNALS)},
                "within": _DURATION,
            },
        },
    },
}

OUTPUTS: dict[str, Json] = {
    "type": "object",
    "required": ["host", "pid", "directory"],
    "properties": {
        "url": {"type": "string", "description": "http://host:port/, where the service uses a port."},
        "host": {"type": "string"},
        "port": {"type": "integer", "description": "Where the service uses one."},
        "pid": {"type": "integer", "description": "The service's process when the step ended."},
        "directory": {"type": "string", "description": "Where the files lie; the working directory."},
        "files": {
            "description": "The files laid down, content by path; left out where they exceed 8 KiB.",
            "type": "object",
            "additionalProperties": {"type": "string"},
        },
    },
}

VARIABLES: dict[str, Json] = {
    "port": {"type": "integer", "description": "The port allotted to this service."},
    "host": {"type": "string", "description": "The address that the service is reached at."},
    "directory": {"type": "string", "description": "The service's directory, where its files lie."},
}
