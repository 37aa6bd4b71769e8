"""Which workloads there are, and which queries measure them, as the catalogue changes."""

from controlplane.demand.signals import DemandKey, Signal
from controlplane.demand.workloads import Workloads
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Batch, Event, EventKind, KeyValue
from enchain.v1 import workload_pb2


def changed(workload: str, value: bytes | None) -> Batch:
    kind = EventKind.DELETE if value is None else EventKind.PUT
    return Batch(1, (Event(kind, KeyValue(keys.workload(workload), value or b"", 1, 1)),))


def profile(**queries: str) -> bytes:
    return encode(workload_pb2.Workload(demand=workload_pb2.DemandProfile(prometheus=queries)))


def test_it_knows_nothing_before_it_knows_all() -> None:
    workloads = Workloads()
    before = workloads.complete

    workloads.apply(Batch(1, ()))

    assert (before, workloads.complete, workloads.known) == (False, True, frozenset())


def test_workloads_come_change_and_go() -> None:
    workloads = Workloads()
    workloads.apply(changed("site", profile(cpu="up", memory="down", colour="red")))
    workloads.apply(changed("web", profile()))

    assert workloads.known == {"site", "web"}
    assert workloads.queries() == {
        DemandKey("site", Signal.CPU): "up",
        DemandKey("site", Signal.MEMORY): "down",
    }

    workloads.apply(changed("site", profile(cpu="sideways")))
    assert workloads.queries() == {DemandKey("site", Signal.CPU): "sideways"}
    workloads.apply(changed("site", None))
    assert workloads.known == {"web"}


def test_one_that_cannot_be_read_is_known_and_has_no_queries() -> None:
    workloads = Workloads()
    workloads.apply(changed("site", b"no JSON"))

    assert (workloads.known, workloads.queries()) == (frozenset({"site"}), {})
