"""Inputs of a process step: what is refused, where, and what a step that passes asks for."""

import json
from dataclasses import replace

import pytest

from enchain.chains.values import EngineVariable, SecretRef, TemplateText
from enchain.engines.process.checks import check_inputs, path_fault, read_spec
from enchain.engines.process.schema import INPUTS
from enchain.engines.process.spec import Ready, Restart, Spec, Stop, plain, variables_in, wants_port
from enchain.sdk.schemas import check, to_struct

PORT = TemplateText((EngineVariable("port"),))
RUN = ["serve", PORT]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a/./b",
        ".",
        "..",
        "a//b",
        "a/",
        "nul\0byte",
        "line\nbreak",
        "back\\slash",
        "x" * 256,
        "/".join("a" * 17),
        "a/" * 300 + "b",
        "lone\udc80surrogate",
    ],
)
def test_a_hostile_path_is_refused(path: str) -> None:
    assert path_fault(path)
    (finding,) = {
        finding.code: finding for finding in check_inputs({"run": RUN, "files": {path: "x"}})
    }.values()

    assert (finding.code, finding.path) == ("INVALID_PATH", f"inputs.files[{path!r}]")


@pytest.mark.parametrize("path", ["index.html", "a/b/c.txt", "...", "a b", "-rf", "$(reboot)", "ünï/cödé"])
def test_a_strange_but_harmless_path_passes(path: str) -> None:
    assert path_fault(path) == ""
    assert check_inputs({"run": RUN, "files": {path: "x"}}) == []


@pytest.mark.parametrize(
    ("inputs", "place"),
    [
        ({}, "run"),
        ({"run": []}, "run"),
        ({"run": [""]}, "run[0]"),
        ({"run": ["a", "b\0c"]}, "run[1]"),
        ({"run": ["a", SecretRef("env:token")]}, "run[1]"),
        ({"run": ["a"], "files": {"a": SecretRef("env:token")}}, "files['a']"),
        ({"run": ["a"], "files": {"a": "", "a/b": ""}}, "files['a/b']"),
        ({"run": ["a"], "files": {"a": "x" * (2 << 20)}}, "files['a']"),
        ({"run": ["a"], "files": {str(n): "" for n in range(300)}}, "files"),
        ({"run": ["a"], "env": {"A-B": "x"}}, "env['A-B']"),
        ({"run": ["a"], "env": {"1A": "x"}}, "env['1A']"),
        ({"run": ["a"], "env": {"A=B": "x"}}, "env['A=B']"),
        ({"run": ["a"], "env": {"ENCHAIN_SERVICE": "x"}}, "env['ENCHAIN_SERVICE']"),
        ({"run": ["a"], "env": {"A": "x\0y"}}, "env['A']"),
        ({"run": ["a"], "ready": {"http": "/", "tcp": True}}, "ready"),
        ({"run": ["a"], "ready": {"http": "no-slash"}}, "ready.http"),
        ({"run": ["a"], "ready": {"http": "/x HTTP/1.1\r\nEvil: yes"}}, "ready.http"),
        ({"run": ["a"], "ready": {"within": "soon"}}, "ready.within"),
        ({"run": ["a"], "restart": {"backoff": "-1s"}}, "restart.backoff"),
        ({"run": ["a"], "stop": {"within": "10"}}, "stop.within"),
    ],
)
def test_a_fault_names_its_place(inputs: dict[str, object], place: str) -> None:
    assert f"inputs.{place}" in [finding.path for finding in check_inputs(inputs)]


def test_every_finding_says_what_to_do() -> None:
    findings = check_inputs({"run": [""], "files": {"..": "x"}, "env": {"1": SecretRef("env:a")}})

    assert len(findings) == 3
    assert all(finding.remedy and finding.summary.endswith(".") for finding in findings)


def test_the_schema_takes_holes_and_secrets_and_refuses_what_it_does_not_know() -> None:
    schema = to_struct(INPUTS)
    good = {"run": ["a", PORT], "env": {"TOKEN": SecretRef("env:token")}, "ready": {"within": "1m30s"}}

    assert check(good, schema, field="inputs") == ()
    assert [fault.field for fault in check({"run": "a"}, schema, field="inputs")] == ["inputs.run"]
    assert check({"run": ["a"], "shell": "x"}, schema, field="inputs")
    assert check({"run": ["a"], "ready": {"within": "soon"}}, schema, field="inputs")
    assert check({"run": ["a"], "restart": {"policy": "sometimes"}}, schema, field="inputs")


def test_a_port_is_wanted_where_it_is_mentioned_or_probed() -> None:
    assert wants_port({"run": ["a", PORT]})
    assert wants_port({"run": ["a"], "files": {"conf": TemplateText(("listen ", EngineVariable("port")))}})
    assert wants_port({"run": ["a"], "env": {"PORT": PORT}})
    assert wants_port({"run": ["a"], "ready": {"http": "/"}})
    assert wants_port({"run": ["a"], "ready": {"tcp": True}})
    assert not wants_port({"run": ["a", "port"], "ready": {"within": "1s"}})


@pytest.mark.parametrize(
    ("ready", "has_port", "expected"),
    [
        ({}, True, Ready("tcp", "", 10.0)),
        ({}, False, Ready("alive", "", 10.0)),
        ({"tcp": False}, True, Ready("alive", "", 10.0)),
        ({"http": "/ok", "within": "3s"}, True, Ready("http", "/ok", 3.0)),
    ],
)
def test_the_probe_follows_the_port(ready: dict[str, object], has_port: bool, expected: Ready) -> None:
    assert read_spec({"run": ["a"], "ready": ready}, has_port=has_port).ready == expected


def test_a_spec_has_every_input_and_survives_being_written_down() -> None:
    spec = read_spec(
        {
            "run": ["serve", 8080],
            "files": {"a": "b"},
            "env": {"PLAIN": "x", "TOKEN": SecretRef("env:token")},
            "restart": {"policy": "on-failure", "max": 2, "backoff": "500ms"},
            "stop": {"signal": "SIGINT", "within": "1m"},
        },
        has_port=True,
    )

    assert spec == Spec(
        argv=("serve", "8080"),
        files={"a": "b"},
        env={"PLAIN": "x"},
        secrets={"TOKEN": "env:token"},
        ready=Ready("tcp", "", 10.0),
        restart=Restart("on-failure", 2, 0.5),
        stop=Stop("SIGINT", 60.0),
    )
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_only_what_a_process_depends_on_changes_its_digest() -> None:
    spec = Spec(argv=("a",), files={"f": "1"}, env={"A": "1"}, secrets={"S": "env:s"})

    assert spec.runtime_digest() == replace(spec, restart=Restart("never")).runtime_digest()
    others = (
        replace(spec, argv=("b",)),
        replace(spec, files={"f": "2"}),
        replace(spec, env={}),
        replace(spec, secrets={}),
    )
    assert spec.runtime_digest() not in {other.runtime_digest() for other in others}


def test_holes_and_secrets_are_told_apart_from_texts_that_look_like_them() -> None:
    assert plain([PORT, SecretRef("env:a"), "${port}"]) == [
        {"$text": [{"$variable": "port"}]},
        {"$secret": "env:a"},
        "${port}",
    ]
    assert variables_in({"a": ["${host}", TemplateText(("x", EngineVariable("port")))]}) == {"port"}
