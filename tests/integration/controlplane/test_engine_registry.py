"""Engines and their instances, over gRPC and on real etcd."""

from typing import Any

import pytest
from google.protobuf import field_mask_pb2

from enchain.chains.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionError,
)
from enchain.v1 import diagnostic_pb2, engine_pb2
from tests.harness.controlplane import FILES, Plane, refusal
from tests.harness.site import save_site

ANSIBLE = engine_pb2.Engine(
    description="Plays playbooks",
    launch=engine_pb2.Launch(process=["enchain-engine-ansible"]),
    pool=engine_pb2.PoolBounds(min=0, max=4),
)


async def create(
    plane: Plane, engine: engine_pb2.Engine = ANSIBLE, engine_id: str = "ansible", **fields: Any
) -> Any:
    return await plane.engines.CreateEngine(
        engine_pb2.CreateEngineRequest(engine_id=engine_id, engine=engine, **fields)
    )


async def update(plane: Plane, engine: engine_pb2.Engine, *paths: str, **fields: Any) -> Any:
    engine.name = "engines/ansible"
    mask = field_mask_pb2.FieldMask(paths=paths)
    return await plane.engines.UpdateEngine(
        engine_pb2.UpdateEngineRequest(engine=engine, update_mask=mask, **fields)
    )


async def get(plane: Plane, engine: str = "ansible") -> Any:
    return await plane.engines.GetEngine(engine_pb2.GetEngineRequest(name=f"engines/{engine}"))


async def test_an_engine_is_written_and_read_back(plane: Plane) -> None:
    made = await create(plane)

    assert made.name == "engines/ansible"
    assert await get(plane) == made


async def test_an_engine_that_merely_has_instances_is_known_too(site: Plane) -> None:
    found = await get(site, "files")

    assert [instance.name for instance in found.instances] == ["engines/files/instances/i0"]
    assert found.etag == ""


async def test_instances_are_shown_and_never_stored(plane: Plane) -> None:
    sent = engine_pb2.Engine(instances=[engine_pb2.EngineInstance(name="made up")])
    await create(plane, sent, "files")
    await plane.start_engine("files", FILES)

    found = await get(plane, "files")

    assert [instance.name for instance in found.instances] == ["engines/files/instances/i0"]


async def test_creating_the_same_again_writes_nothing(plane: Plane) -> None:
    made = await create(plane)
    before = await plane.contents()

    assert await create(plane) == made
    assert await plane.contents() == before


async def test_creating_another_of_the_same_name_is_refused(plane: Plane) -> None:
    await create(plane)

    error = await refusal(create(plane, engine_pb2.Engine(description="another")))

    assert isinstance(error, AlreadyExistsError)


async def test_an_update_takes_what_its_mask_names(plane: Plane) -> None:
    made = await create(plane)

    updated = await update(plane, engine_pb2.Engine(description="new"), "description")

    assert updated.description == "new"
    assert updated.launch == made.launch
    assert updated.create_time == made.create_time
    assert updated.etag != made.etag


async def test_an_update_of_what_is_missing_is_allowed_only_where_it_says_so(plane: Plane) -> None:
    error = await refusal(update(plane, engine_pb2.Engine(description="new")))
    made = await update(plane, engine_pb2.Engine(description="new"), allow_missing=True)

    assert isinstance(error, NotFoundError)
    assert made.description == "new"


async def test_a_stale_etag_is_refused(plane: Plane) -> None:
    made = await create(plane)
    await update(plane, engine_pb2.Engine(description="new"), "description")

    error = await refusal(update(plane, engine_pb2.Engine(description="mine", etag=made.etag)))

    assert isinstance(error, ConflictError)


@pytest.mark.parametrize(
    ("engine", "field"),
    [
        (engine_pb2.Engine(pool=engine_pb2.PoolBounds(min=-1)), "pool.min"),
        (engine_pb2.Engine(pool=engine_pb2.PoolBounds(min=3, max=2)), "pool.max"),
        (engine_pb2.Engine(launch=engine_pb2.Launch(process=[""])), "launch.process[0]"),
        (engine_pb2.Engine(launch=engine_pb2.Launch(process=["a"] * 65)), "launch.process"),
        (
            engine_pb2.Engine(price=engine_pb2.Price(hour=diagnostic_pb2.Money(units=-1))),
            "price.hour",
        ),
    ],
)
async def test_a_wrong_engine_is_refused_with_its_place_and_not_written(
    plane: Plane, engine: engine_pb2.Engine, field: str
) -> None:
    error = await refusal(create(plane, engine))

    assert isinstance(error, InvalidArgumentError)
    assert [fault.field for fault in error.violations] == [field]
    assert await plane.contents() == {}


async def test_validating_writes_nothing(plane: Plane) -> None:
    answer = await create(plane, validate_only=True)

    assert answer.name == "engines/ansible"
    assert await plane.contents() == {}


async def test_engines_with_a_document_and_those_with_instances_are_listed_together(site: Plane) -> None:
    await create(site)
    await create(site, engine_id="files")

    first = await site.engines.ListEngines(engine_pb2.ListEnginesRequest(page_size=2))
    rest = await site.engines.ListEngines(
        engine_pb2.ListEnginesRequest(page_size=2, page_token=first.next_page_token)
    )

    listed = [*first.engines, *rest.engines]
    assert [engine.name for engine in listed] == ["engines/ansible", "engines/files", "engines/serving"]
    assert [len(engine.instances) for engine in listed] == [0, 1, 1]
    assert rest.next_page_token == ""


async def test_instances_are_listed_by_engine_or_all_in_pages(site: Plane) -> None:
    await site.start_engine("files", FILES, version="2.0", name="z")

    of_files = await site.engines.ListEngineInstances(
        engine_pb2.ListEngineInstancesRequest(parent="engines/files")
    )
    first = await site.engines.ListEngineInstances(
        engine_pb2.ListEngineInstancesRequest(parent="engines/-", page_size=2)
    )
    rest = await site.engines.ListEngineInstances(
        engine_pb2.ListEngineInstancesRequest(
            parent="engines/-", page_size=2, page_token=first.next_page_token
        )
    )

    assert [each.version for each in of_files.engine_instances] == ["1.0", "2.0"]
    names = [each.name for each in [*first.engine_instances, *rest.engine_instances]]
    assert names == [
        "engines/files/instances/i0",
        "engines/files/instances/z",
        "engines/serving/instances/i1",
    ]


async def test_an_engine_that_a_chain_names_is_not_deleted(site: Plane) -> None:
    await save_site(site)
    await create(site, engine_id="files")
    before = await site.contents()

    error = await refusal(site.engines.DeleteEngine(engine_pb2.DeleteEngineRequest(name="engines/files")))

    assert isinstance(error, PreconditionError)
    assert "workloads/site/chains/default@" in error.message
    assert await site.contents() == before


async def test_an_engine_that_no_chain_names_is_deleted(plane: Plane) -> None:
    made = await create(plane)

    stale = await refusal(
        plane.engines.DeleteEngine(engine_pb2.DeleteEngineRequest(name=made.name, etag="stale"))
    )
    await plane.engines.DeleteEngine(engine_pb2.DeleteEngineRequest(name=made.name, etag=made.etag))

    assert isinstance(stale, ConflictError)
    assert isinstance(await refusal(get(plane)), NotFoundError)
