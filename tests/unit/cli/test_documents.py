"""Documents as people write them: what they become, and how precisely a fault is named."""

from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from enchain.chains.values import to_python
from enchain.cli.documents import load
from enchain.cli.kinds import Parsed, parse
from enchain.cli.yamlfile import DocumentError, read
from enchain.v1 import chain_pb2, engine_pb2, workload_pb2

EXAMPLES = Path(__file__).parents[3] / "enchain" / "cli" / "examples"


def parsed(text: str) -> list[Parsed]:
    return [parse(document) for document in read(Path("w.yaml"), text)]


def workload(text: str) -> workload_pb2.Workload:
    message = parsed(text)[0].message
    assert isinstance(message, workload_pb2.Workload)
    return message


def test_the_shipped_example_reads_as_it_is_written() -> None:
    workload, chain = load([EXAMPLES / "site" / "workload.yaml"])

    assert isinstance(workload.message, workload_pb2.Workload)
    assert [step.name for step in workload.message.steps] == ["configure", "serve"]
    engines = [[i.engine for i in step.implementations] for step in workload.message.steps]
    assert engines == [["terraform", "process"], ["process"]]
    assert list(workload.message.steps[0].implementations[1].covers) == ["configure", "serve"]
    assert isinstance(chain.message, chain_pb2.Chain)
    assert chain.message.name == "workloads/site/chains/all-in-one"
    assert dict(chain.message.use) == {"configure": "process"}


def test_integers_stay_integers_and_secrets_stay_references() -> None:
    message = workload(
        "kind: Workload\nname: w\nsteps:\n- name: a\n  by:\n    x: {n: 3, f: 1.5, t: [true, null],"
        ' s: {$secret: "env:KEY"}}\n'
    )

    inputs = message.steps[0].implementations[0].inputs
    assert inputs["n"].int_value == 3
    assert inputs["f"].double_value == 1.5
    assert to_python(inputs["t"]) == [True, None]
    assert inputs["s"].secret_value.ref == "env:KEY"


def test_reserved_fields_of_an_implementation_are_not_inputs() -> None:
    message = workload(
        "kind: Workload\nname: w\nsteps:\n- name: a\n  by:\n    x: {timeout: 1m30s, version: '2',"
        " fallback: y, retry: {max_attempts: 5, initial_backoff: 250ms}, real: 1}\n"
    )

    implementation = message.steps[0].implementations[0]
    assert list(implementation.inputs) == ["real"]
    assert implementation.timeout.seconds == 90
    assert implementation.retry.initial_backoff.nanos == 250_000_000
    assert (implementation.version, implementation.fallback) == ("2", "y")


def test_the_profile_of_a_workload_is_read() -> None:
    message = workload(
        "kind: Workload\nname: w\nsteps: []\nslo: {p95: 30s, success: 99.5%}\n"
        'demand: {unit: {cpu: 0.5}, peaks: [{cron: "0 9 * * 1-5", for: 9h, rate: 40/h}],'
        ' prometheus: {cpu: "sum(x)"}}\ncost: {miss: 2.5}\non_failure: hold\n'
    )

    assert message.slo.success == pytest.approx(0.995)
    assert message.demand.peaks[0].rate_per_hour == 40
    assert message.demand.peaks[0].duration.seconds == 9 * 3600
    assert message.on_failure == workload_pb2.ON_FAILURE_HOLD
    assert MessageToDict(message.cost) == {"missPrice": 2.5, "currencyCode": "EUR"}


def test_the_price_of_an_engine_is_exact() -> None:
    message = parsed("kind: Engine\nname: ansible\npool: {max: 4}\nprice: {hour: 0.04}\n")[0].message

    assert isinstance(message, engine_pb2.Engine)
    assert (message.price.hour.units, message.price.hour.nanos) == (0, 40_000_000)
    assert message.pool.max == 4


def test_engines_come_before_workloads_and_workloads_before_chains(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(
        "kind: Chain\nworkload: w\nname: c\nuse: {a: x}\n---\nkind: Workload\nname: w\nsteps: []\n---\n"
        "kind: Engine\nname: x\n"
    )

    assert [item.kind for item in load([file])] == ["Engine", "Workload", "Chain"]


BAD = [
    ("kind: Workload\nname: w\nsteps:\n- name: a\n  by: {x: {n: ${inputs.n}}}\n", 5, "n", "double quotes"),
    ("kind: Workload\nname: w\nname: v\nsteps: []\n", 3, "name", "Keep one"),
    ("kind: Workload\nname: w\nstep: []\n", 3, "step", "Did you mean `steps`?"),
    ("kind: Workload\nname: w\n", 1, "steps", "Add `steps"),
    ("kind: Worklod\nname: w\n", 1, "kind", "Known are Workload"),
    ("kind: Workload\nname: 3\nsteps: []\n", 2, "name", "quotes"),
    ("kind: Workload\nname: w\nsteps: []\ntimeout: soon\n", 4, "timeout", "`30s`"),
    ("kind: Workload\nname: w\nsteps: []\nslo: {success: 120%}\n", 4, "slo.success", "`99.5%`"),
    ("kind: Workload\nname: w\nsteps: []\non_failure: explode\n", 4, "on_failure", "compensate"),
    ("kind: Workload\nname: w\nsteps: nope\n", 3, "steps", ""),
    ("- just\n- a list\n", 1, "", "kind: Workload"),
    ("kind: Workload\nname: w\nsteps:\n- name: a\n  by: {x: {covers: 3}}\n", 5, "steps[0].by.x.covers", ""),
    ("kind: [\n", 2, "", ""),
    (
        "kind: Workload\nname: w\nsteps:\n- name: a\n  by: {x: {n: 18446744073709551616}}\n",
        5,
        "steps[0].by.x.n",
        "",
    ),
]


@pytest.mark.parametrize(("text", "line", "path", "remedy"), BAD)
def test_a_fault_names_file_line_field_and_remedy(text: str, line: int, path: str, remedy: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parsed(text)

    assert (caught.value.file, caught.value.line) == ("w.yaml", line)
    assert caught.value.violations[0].field == path
    assert remedy in caught.value.remedy


def test_a_path_of_the_message_leads_back_to_its_line() -> None:
    text = "kind: Workload\nname: w\nsteps:\n- name: a\n  by:\n    x:\n      with:\n"
    text += "        deep: [1,\n          2]\n"
    item = parsed(text)[0]

    place = item.place_of("steps[0].implementations[0].inputs.with.deep[1]")

    assert place == ("steps", 0, "by", "x", "with", "deep", 1)
    assert item.document.line_of(place) == 9


def test_a_file_that_is_not_there_is_a_document_error(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="cannot be read"):
        load([tmp_path / "none.yaml"])


def test_one_thing_written_twice_is_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("kind: Engine\nname: x\n")

    with pytest.raises(DocumentError, match=r"a\.yaml:1 already") as caught:
        load([tmp_path / "a.yaml", tmp_path / "b.yaml"])

    assert caught.value.file.endswith("b.yaml")
