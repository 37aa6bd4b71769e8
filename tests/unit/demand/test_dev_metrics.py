"""A local enchain sends what services use up to its control plane, with nothing to set up."""

from pathlib import Path

import pytest

from controlplane.settings import parse as parse_control_plane
from enchain.dev.plan import Layout, planned
from enchain.process.tls import TlsFiles

FILES = TlsFiles(Path("c"), Path("k"))


def flags_of(layout: Layout, role: str) -> list[dict[str, str]]:
    """The flags of the processes of a role."""
    return [
        dict(zip(process.arguments[::2], process.arguments[1::2], strict=True))
        for process in planned(layout)
        if process.role == role
    ]


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        (Layout(Path("/d")), "127.0.0.1:7400"),
        (Layout(Path("/d"), control="127.0.0.1:0"), None),
        (Layout(Path("/d"), tls={"controlplane": FILES}), "https://127.0.0.1:7400"),
    ],
)
def test_engines_send_their_metrics_to_the_control_plane(layout: Layout, told: str | None) -> None:
    assert [flags.get("--otlp-metrics") for flags in flags_of(layout, "process")] == [told]


def test_control_planes_of_one_machine_share_the_history_that_the_leader_has() -> None:
    layout = Layout(Path("/d"), replicas=("127.0.0.1:7410",))

    assert [flags["--history"] for flags in flags_of(layout, "controlplane")] == ["/d/history.sqlite"] * 2


def test_the_history_lies_by_the_artifacts_where_nothing_else_is_said() -> None:
    assert parse_control_plane([], {}).history == Path("history.sqlite")
    assert parse_control_plane(["--artifacts", "/a/b"], {}).history == Path("/a/history.sqlite")
    assert parse_control_plane([], {"ENCHAIN_HISTORY": "/h"}).history == Path("/h")


def test_a_prometheus_is_named_by_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    settings = parse_control_plane(["--prometheus", "http://p:9090", "--prometheus-token-file", "/t"], {})
    assert (settings.prometheus, settings.prometheus_token_file) == ("http://p:9090", Path("/t"))

    with pytest.raises(SystemExit):
        parse_control_plane(["--prometheus", "p:9090"], {})
    assert "http://" in capsys.readouterr().err
