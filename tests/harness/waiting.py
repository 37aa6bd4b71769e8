"""Waiting for a condition instead of sleeping.

Tests and the harness call it. It never asserts how long something took: its deadline only ends a wait that is
hopeless, and is generous.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

POLL_SECONDS = 0.01


@overload
async def eventually(check: Callable[[], Awaitable[T]], *, within: float = 10.0) -> T: ...


@overload
async def eventually(check: Callable[[], T], *, within: float = 10.0) -> T: ...


async def eventually(check: Callable[[], Any], *, within: float = 10.0) -> Any:
    """Call `check` until it answers something true, and answer that.

    An `AssertionError` of `check` counts as "not yet", so that it may hold several asserts; where time runs
    out the last one is raised again.

    Args:
        check: A function or coroutine function without arguments.
        within: Seconds after which waiting is hopeless.

    Raises:
        AssertionError: It did not come true.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        complaint: AssertionError | None = None
        try:
            found = check()
            answer = await found if inspect.isawaitable(found) else found
            if answer:
                return answer
        except AssertionError as error:
            complaint = error
        if loop.time() > deadline:
            raise complaint or AssertionError(f"{check!r} did not come true within {within} s")
        await asyncio.sleep(POLL_SECONDS)
