"""Logs: a constant message plus keys, as JSON for machines or as text for people, on standard error.

Every room takes `get_logger`; only a process's `main` calls `configure_logs`. Everything goes through the
standard library's logging, so that a program which embeds the client keeps its own settings, and what gRPC
and others log comes out in our form. Messages of the contract, passed as values, go through the redactor.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry import trace

from enchain.process.redaction import redacted

_KEYS = "enchain_keys"
"""Where a record carries its keys; a record without it comes from another library."""

_NO_RECORD = ("event", "exc_info", "stack_info", "logger")

EventDict = MutableMapping[str, Any]


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Answer a logger for a module: `log.info("chain switched", workload=..., revision=...)`."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _add_trace,
            _hand_over,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger


def configure_logs(
    service: str, *, level: str = "info", json: bool = True, stream: TextIO | None = None
) -> None:
    """Send all that this process logs to standard error. Calling it again replaces the earlier settings.

    Args:
        service: Stands in every line, such as `enchain-router`.
        level: `debug`, `info`, `warning` or `error`; other libraries say at least `info`.
        json: One JSON object a line; else text for people.
        stream: Where to instead of standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Formatter(service, json=json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.INFO, logging.getLevelName(level.upper())))
    for name in ("enchain", "controlplane", "dataplane", "__main__"):
        logging.getLogger(name).setLevel(level.upper())
    logging.captureWarnings(capture=True)


class _Formatter(logging.Formatter):
    """Renders our records and those of other libraries alike."""

    def __init__(self, service: str, *, json: bool) -> None:
        super().__init__()
        self._service = service
        self._chain: list[Any] = [structlog.processors.TimeStamper(fmt="iso", utc=True)]
        if json:
            self._chain.append(structlog.processors.format_exc_info)
            self._chain.append(
                structlog.processors.JSONRenderer(sort_keys=True, default=str, ensure_ascii=False)
            )
        else:
            self._chain.append(
                structlog.dev.ConsoleRenderer(
                    colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
                )
            )

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        ours: EventDict | None = getattr(record, _KEYS, None)
        event: EventDict = dict(ours) if ours is not None else {"event": record.getMessage()}
        event.update(level=record.levelname.lower(), logger=record.name, service=self._service)
        if record.exc_info:
            event["exc_info"] = record.exc_info
        rendered: Any = event
        for processor in self._chain:
            rendered = processor(None, record.levelname.lower(), rendered)
        return str(rendered)


def _add_trace(logger: Any, method: str, event: EventDict) -> EventDict:  # noqa: ARG001 - structlog's form
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
        event["span_id"] = trace.format_span_id(span.span_id)
    return event


def _hand_over(logger: Any, method: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:  # noqa: ARG001 - structlog's form
    """Give an event to the standard library: readable as it is, and with its keys for our own formatter."""
    exc_info = event.pop("exc_info", None)
    keys = {key: _plain(value) for key, value in event.items()}
    text = " ".join(
        [str(event.get("event", "")), *(f"{k}={v}" for k, v in keys.items() if k not in _NO_RECORD)]
    )
    # A percent sign is safe: without arguments the standard library does not format the text.
    return (text,), {"extra": {_KEYS: keys}, "exc_info": exc_info}


def _plain(value: Any) -> Any:
    return MessageToDict(redacted(value)) if isinstance(value, Message) else value
