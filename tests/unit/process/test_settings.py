"""Flags and environment into settings."""

import argparse
from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.process.settings import EtcdSettings, ServerSettings, add_server_flags, parse_server_args
from enchain.process.tls import TlsFiles


def parse(*argv: str, env: dict[str, str] | None = None) -> ServerSettings:
    parser = argparse.ArgumentParser()
    add_server_flags(parser, env or {})
    return parse_server_args(parser, argv)[1]


def test_without_flags_everything_has_its_default() -> None:
    assert parse() == ServerSettings()


def test_every_flag_arrives() -> None:
    settings = parse(
        *("--listen", "0.0.0.0:7000", "--allow-insecure", "--name", "r1", "--otlp", "https://collector:4317"),
        *("--etcd", "a:1, b:2,", "--etcd-user", "router", "--etcd-password-file", "pw"),
        *("--etcd-tls-cert", "ec", "--etcd-tls-key", "ek", "--etcd-tls-ca", "ea"),
        *("--tls-cert", "c", "--tls-key", "k", "--tls-ca", "a", "--metrics-listen", "127.0.0.1:0"),
        *("--log-level", "debug", "--log-format", "text", "--ready-file", "ready.json"),
    )

    assert settings == ServerSettings(
        listen="0.0.0.0:7000",
        tls=TlsFiles(Path("c"), Path("k"), Path("a")),
        allow_insecure=True,
        etcd=EtcdSettings(
            endpoints=("a:1", "b:2"),
            tls=TlsFiles(Path("ec"), Path("ek"), Path("ea")),
            user="router",
            password_file=Path("pw"),
        ),
        otlp="https://collector:4317",
        metrics_listen="127.0.0.1:0",
        log_level="debug",
        log_json=False,
        ready_file=Path("ready.json"),
        name="r1",
    )
    assert settings.otlp_tls == settings.tls


def test_the_environment_gives_defaults_and_flags_win() -> None:
    env = {"ENCHAIN_LISTEN": "127.0.0.1:1", "ENCHAIN_NAME": "env", "ENCHAIN_ALLOW_INSECURE": "true"}

    settings = parse("--name", "flag", env=env)

    assert (settings.listen, settings.name, settings.allow_insecure) == ("127.0.0.1:1", "flag", True)


@pytest.mark.parametrize(
    "argv",
    [
        ["--tls-cert", "c"],
        ["--tls-ca", "a"],
        ["--etcd-tls-key", "k"],
        ["--etcd", ","],
        ["--log-level", "loud"],
    ],
)
def test_a_contradiction_ends_the_process_with_the_flag_named(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(*argv)

    assert caught.value.code == 2
    prefix = argv[0].rpartition("-")[0] or argv[0]
    assert prefix in capsys.readouterr().err


def test_the_password_comes_from_its_file_without_the_end_of_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")

    assert EtcdSettings(password_file=file).password() == "s3cret"
    assert EtcdSettings().password() == ""
    with pytest.raises(InvalidArgumentError, match="cannot read"):
        EtcdSettings(password_file=tmp_path / "gone").password()
