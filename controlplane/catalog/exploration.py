"""Exploring on a route: giving chains of which too little is known a small part of it, and taking that back.

The planning loop calls it in each round, with what the plan asks for; how much, how long and how often stands
in `controlplane.switching.exploring`. It is a switch like any other, and gives way to every other.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

from controlplane.catalog import surveys
from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import Change, commit
from controlplane.catalog.moves import decide
from controlplane.catalog.routes import RouteCatalog, Wish
from controlplane.switching import holding
from controlplane.switching.exploring import ARM, explored, moved
from controlplane.switching.terms import Terms
from enchain.chains.errors import NotFoundError
from enchain.chains.names import ChainName

WARM = timedelta(minutes=1)
"""How long instances may take to be ready; requests do not wait for them."""

NOT_WATCHED = timedelta()
"""Whoever plans looks at what is measured of it anyway."""


class ExploringRoutes(RouteCatalog):
    """Routes, as exploring sees them."""

    async def explore(self, workload: str, asked: Mapping[str, float], caller: Caller) -> str:
        """Let a route explore what is asked for; answer the switch that was begun, empty where none was.

        Args:
            workload: Its id.
            asked: Shares of requests by chain; empty ends it.
            caller: Who asks.

        Raises:
            CallerError: A chain is not whole, or an instance is missing and cannot be started.
            MalformedError: The route was put by hand and cannot be read.
        """
        return await commit(self._store, partial(self._decide, Wish(workload, caller), asked))

    async def _decide(self, wish: Wish, asked: Mapping[str, float]) -> Change[str]:
        try:
            route = await self._route(wish.workload)
        except NotFoundError:
            return Change("")
        held = route.message.HasField("pin") or route.message.experiments
        if held or not (asked or explored(route.message)) or await self._log.under_way(wish.workload):
            return Change("")
        past, stamp = await self._log.newest_first(wish.workload), self._stamp()
        shares = moved(route.message, asked, past, stamp.now)
        if shares is None:
            return Change("")
        names = {share.chain: share.arm for share in shares}
        chains = [
            await surveys.usable(self._store, ChainName.parse(name, "chain", whole=True)) for name in names
        ]
        tried = holding.pools_of(each.message for each in chains if names[each.message.name] == ARM)
        # One instance of each is enough for so few requests.
        terms = Terms(warm=WARM, watch=NOT_WATCHED, instances=dict.fromkeys(tried, 1))
        move = await self._move(replace(wish, terms=terms), route, shares, chains)
        change = decide(move, stamp, wish.caller)
        return Change(change.answer.name, change.compares, change.writes, change.audit)
