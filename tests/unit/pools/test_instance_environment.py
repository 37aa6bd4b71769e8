"""What an instance is given of the control plane's environment."""

import sys
from pathlib import Path

from controlplane.switching.launchers.process import Surroundings, instance_environment

OWN = {
    "PATH": "/usr/bin",
    "HOME": "/root",
    "ENCHAIN_NAME": "controlplane",
    "ENCHAIN_LISTEN": "0.0.0.0:7400",
    "ENCHAIN_READY_FILE": "/run/controlplane.json",
    "ENCHAIN_TLS_KEY": "/tls/controlplane-key.pem",
    "ENCHAIN_ETCD_PASSWORD_FILE": "/etcd/password",
    "ENCHAIN_SECRET_SHOP_PASSWORD": "hush",
    "ENCHAIN_LAUNCH_TLS_CERT": "/tls/{engine}.pem",
    "ENCHAIN_LAUNCH_CAPACITY": "9",
}


def given(**more: str) -> dict[str, str]:
    surroundings = Surroundings(
        scopes=Path("/data/scopes"),
        artifacts=Path("/data/artifacts"),
        etcd="10.0.0.1:2379,10.0.0.2:2379",
        environment={**OWN, **more},
    )
    return instance_environment("01LAUNCH", "terraform", surroundings)


def test_an_instance_is_told_who_it_is_and_where_things_lie() -> None:
    told = {name: text for name, text in given().items() if name.startswith("ENCHAIN_")}

    assert told == {
        "ENCHAIN_INSTANCE": "01LAUNCH",
        "ENCHAIN_LISTEN": "127.0.0.1:0",
        "ENCHAIN_ETCD": "10.0.0.1:2379,10.0.0.2:2379",
        "ENCHAIN_ARTIFACTS": "/data/artifacts",
        "ENCHAIN_SCOPE": "/data/scopes/terraform",
        "ENCHAIN_TLS_CERT": "/tls/terraform.pem",
        "ENCHAIN_CAPACITY": "9",
        "ENCHAIN_SECRET_SHOP_PASSWORD": "hush",
    }


def test_what_is_passed_on_wins_but_the_id_is_never_another_one() -> None:
    told = given(ENCHAIN_LAUNCH_LISTEN="10.0.0.3:0", ENCHAIN_LAUNCH_INSTANCE="mine")

    assert (told["ENCHAIN_LISTEN"], told["ENCHAIN_INSTANCE"]) == ("10.0.0.3:0", "01LAUNCH")


def test_programs_beside_the_control_plane_are_found() -> None:
    assert given()["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"
    assert given()["HOME"] == "/root"
