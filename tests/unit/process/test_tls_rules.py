"""Where a process may listen without TLS, and what it says of files that it cannot use."""

from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.process.tls import TlsFiles, channel_credentials, is_loopback, require_safe, server_credentials


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:0", True),
        ("127.8.9.10:1", True),
        ("localhost:80", True),
        ("[::1]:80", True),
        ("ipv4:127.0.0.1:80", True),
        ("unix:/run/enchain.sock", True),
        ("0.0.0.0:80", False),
        ("[::]:80", False),
        ("10.0.0.1:80", False),
        ("localhost.example.com:80", False),
        (":80", False),
    ],
)
def test_loopback_is_told_from_the_address(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_listening_for_others_without_tls_is_refused_with_the_way_out() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        require_safe("0.0.0.0:80", None, allow_insecure=False)

    assert caught.value.reason == "INSECURE_LISTENER"
    assert caught.value.violations[0].field == "listen"
    assert "--allow-insecure" in caught.value.remedy


def test_listening_for_others_is_fine_with_tls_or_when_meant() -> None:
    require_safe("0.0.0.0:80", None, allow_insecure=True)
    require_safe("0.0.0.0:80", TlsFiles(Path("c"), Path("k")), allow_insecure=False)


def test_a_missing_or_senseless_file_is_named(tmp_path: Path) -> None:
    nonsense = tmp_path / "cert.pem"
    nonsense.write_text("no pem at all")
    missing = tmp_path / "gone.key"

    with pytest.raises(InvalidArgumentError) as caught:
        server_credentials(TlsFiles(nonsense, missing))
    assert caught.value.violations[0].field == "tls.key"
    assert str(missing) in caught.value.message

    with pytest.raises(InvalidArgumentError) as caught:
        channel_credentials(TlsFiles(nonsense, nonsense))
    assert caught.value.reason == "TLS_FILE_UNUSABLE"
    assert "no PEM" in caught.value.message
