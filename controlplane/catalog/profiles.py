"""Performance profiles, read from what the leader has folded and reckoned anew where that has changed.

`controlplane.rpc.engines` serves them, and whoever plans reads all of a workload with `of_workload`. It never
writes: statistics are the folding loop's, and starts belong to whoever launches instances.
"""

from collections.abc import Mapping, Sequence

from controlplane.catalog.documents import readable, scan
from controlplane.catalog.paging import Page, cut
from controlplane.profiles.view import profile_of
from enchain.chains.errors import NotFoundError
from enchain.chains.profile_names import PerformanceProfileName, version_word
from enchain.state import keys
from enchain.state.store import OPS_MAX, Get, KeyValue, Store, Txn
from enchain.v1 import learned_pb2, profile_pb2

PerformanceProfile = profile_pb2.PerformanceProfile
Profiles = Sequence[PerformanceProfile]

REMEMBERED_MAX = 10_000
"""Profiles of a few KiB that are kept in case their statistics have not changed; where it is full it begins
anew."""


class Reckoned:
    """Profiles as they were reckoned, for as long as their statistics stay as they were.

    Whoever makes a catalogue again and again, as the planning loop does in every round, keeps one: reckoning
    a profile takes some thirty times as long as reading one that is remembered.

    Attributes:
        times: How often one was reckoned.
    """

    def __init__(self) -> None:
        self.times = 0
        self._remembered: dict[str, tuple[bytes, bytes, PerformanceProfile]] = {}

    def profile(self, item: KeyValue, starts: KeyValue | None) -> PerformanceProfile | None:
        """Answer a profile that is the caller's to change; None where its statistics cannot be read."""
        told = starts.value if starts is not None else b""
        known = self._remembered.get(item.key)
        if known is None or known[:2] != (item.value, told):
            profile = _reckon(item, starts)
            if profile is None:
                return None
            self.times += 1
            known = (item.value, told, profile)
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[item.key] = known
        answer = PerformanceProfile()
        answer.CopyFrom(known[2])
        return answer


class ProfileCatalog:
    """All performance profiles.

    Args:
        store: Where their statistics are kept.
        reckoned: What is remembered of them; None: what this catalogue itself has reckoned.
    """

    def __init__(self, store: Store, reckoned: Reckoned | None = None) -> None:
        self._store = store
        self._reckoned = reckoned or Reckoned()

    async def get(self, name: PerformanceProfileName) -> PerformanceProfile:
        """Answer one profile.

        Raises:
            NotFoundError: Nothing was measured of it yet.
        """
        found = await self._profiles([f"{keys.PROFILES}{name.subject}"])
        if not found:
            raise NotFoundError(
                f"there is no {name}: nothing was measured of it yet",
                reason="PROFILE_NOT_FOUND",
                remedy="List the profiles of its workload; operations count once they have ended.",
                metadata={"name": str(name)},
            )
        return found[0]

    async def of_workload(self, workload: str) -> Profiles:
        """Answer all profiles of a workload by name; what has not changed costs little."""
        prefix = keys.profiles_of(workload)
        return await self._profiles([item.key async for item in scan(self._store, prefix, keys_only=True)])

    async def list(self, workload: str, engine: str, page: Page) -> tuple[Profiles, str]:
        """Answer a page of profiles, in the order of their names, and the token of the next.

        Args:
            workload: Only of this workload; of all where it is empty.
            engine: Only of this engine; of all where it is empty.
            page: Which page.
        """
        prefix = keys.profiles_of(workload) if workload else keys.PROFILES
        found = [item.key async for item in scan(self._store, prefix, keys_only=True)]
        shown, token = cut([key for key in found if not engine or _engine_of(key) == engine], page, str)
        return await self._profiles(shown), token

    async def _profiles(self, wanted: Sequence[str]) -> Profiles:
        """Reckon the profiles under keys; what cannot be read is left out."""
        items = await self._read(wanted)
        starts = await self._read(sorted({key for item in items.values() if (key := _starts_of(item.key))}))
        found = (
            self._reckoned.profile(items[key], starts.get(_starts_of(key))) for key in wanted if key in items
        )
        return [profile for profile in found if profile is not None]

    async def _read(self, wanted: Sequence[str]) -> Mapping[str, KeyValue]:
        found: dict[str, KeyValue] = {}
        for start in range(0, len(wanted), OPS_MAX):
            some = tuple(Get(key) for key in wanted[start : start + OPS_MAX])
            found |= {item.key: item for item in (await self._store.commit(Txn(success=some))).got if item}
        return found


def _reckon(item: KeyValue, starts: KeyValue | None) -> PerformanceProfile | None:
    documents = list(readable(learned_pb2.ProfileStatistics, [item]))
    if not documents:
        return None
    started = readable(learned_pb2.StartStatistics, [starts] if starts is not None else [])
    profile = profile_of(documents[0].message, next((each.message for each in started), None))
    name = PerformanceProfileName.of_subject(item.key.removeprefix(keys.PROFILES))
    profile.name = str(name) if name is not None else ""
    return profile


def _engine_of(key: str) -> str:
    name = PerformanceProfileName.of_subject(key.removeprefix(keys.PROFILES))
    return name.engine if name is not None else ""


def _starts_of(key: str) -> str:
    """The key of how long starts of a profile's engine version take; empty where it names none."""
    name = PerformanceProfileName.of_subject(key.removeprefix(keys.PROFILES))
    return keys.starts(name.engine, version_word(name.version)) if name is not None else ""
