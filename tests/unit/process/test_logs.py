"""Log lines: a constant message, its keys, the trace; redacted; others' lines in the same form."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from opentelemetry import context, trace

from enchain.process.logs import configure_logs, get_logger
from enchain.v1 import provisioning_pb2


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {
        name: logging.getLogger(name).level for name in ("enchain", "controlplane", "dataplane", "__main__")
    }
    yield
    root.handlers[:], root.level = handlers, level
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)
    logging.captureWarnings(capture=False)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_message_keys_level_logger_and_service() -> None:
    stream = io.StringIO()
    configure_logs("enchain-router", stream=stream)

    get_logger("enchain.somewhere").bind(workload="site").info("chain switched", revision=7)

    (line,) = lines(stream)
    assert line.pop("timestamp")
    assert line == {
        "event": "chain switched",
        "workload": "site",
        "revision": 7,
        "level": "info",
        "logger": "enchain.somewhere",
        "service": "enchain-router",
    }


def test_a_line_inside_a_span_names_trace_and_span() -> None:
    stream = io.StringIO()
    configure_logs("x", stream=stream)
    span = trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, is_remote=False))
    token = context.attach(trace.set_span_in_context(span))

    get_logger("enchain.a").info("inside")
    context.detach(token)
    get_logger("enchain.a").info("outside")

    inside, outside = lines(stream)
    assert (inside["trace_id"], inside["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert "trace_id" not in outside


def test_less_important_lines_are_left_out() -> None:
    stream = io.StringIO()
    configure_logs("x", level="warning", stream=stream)

    get_logger("enchain.a").info("unimportant")
    get_logger("enchain.a").warning("important")

    assert [line["event"] for line in lines(stream)] == ["important"]


def test_what_other_libraries_log_comes_out_in_our_form() -> None:
    stream = io.StringIO()
    configure_logs("x", level="debug", stream=stream)

    logging.getLogger("grpc").warning("100 %% of %s", "it")
    logging.getLogger("grpc").debug("chatter")

    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["level"]) == ("100 % of it", "grpc", "warning")


def test_a_message_passed_as_a_value_is_redacted() -> None:
    stream = io.StringIO()
    configure_logs("x", stream=stream)
    request = provisioning_pb2.ProvisionRequest(request_id="r-1")
    request.inputs["password"].string_value = "hunter2"

    get_logger("enchain.a").info("request came", request=request)

    assert "hunter2" not in stream.getvalue()
    assert "r-1" in stream.getvalue()


def test_an_exception_brings_its_traceback_in_one_line() -> None:
    stream = io.StringIO()
    configure_logs("x", stream=stream)
    try:
        int("boom")
    except ValueError:
        get_logger("enchain.a").exception("it failed", step="serve")

    (line,) = lines(stream)
    assert "ValueError: invalid literal" in str(line["exception"])
    assert line["step"] == "serve"


def test_people_get_text() -> None:
    stream = io.StringIO()
    configure_logs("x", json=False, stream=stream)

    get_logger("enchain.a").info("chain switched", workload="site")

    assert "chain switched" in stream.getvalue()
    assert "workload=site" in stream.getvalue()


def test_keys_named_like_parts_of_a_log_record_are_no_trouble() -> None:
    stream = io.StringIO()
    configure_logs("x", stream=stream)

    get_logger("enchain.a").info("percent %s and braces {}", name="n", args=1, module="m", message="msg")

    (line,) = lines(stream)
    assert (line["name"], line["args"], line["module"], line["message"]) == ("n", 1, "m", "msg")
    assert line["event"] == "percent %s and braces {}"


def test_a_program_that_embeds_us_reads_keys_in_its_own_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        get_logger("enchain.a").info("chain switched", workload="site")

    assert caplog.messages == ["chain switched workload=site"]
