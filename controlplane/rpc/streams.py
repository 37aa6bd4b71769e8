"""Streams of a service that end when its process is told to stop, so that another replica goes on with them.

Servicers call it.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from google.protobuf.message import Message

from enchain.chains.errors import UnavailableError

M = TypeVar("M", bound=Message)


async def until(stop: asyncio.Event, messages: AsyncGenerator[M, None]) -> AsyncGenerator[M, None]:
    """Yield messages until the process is told to stop.

    Raises:
        UnavailableError: It is; another replica goes on.
    """
    stopping = asyncio.ensure_future(stop.wait())
    try:
        async with aclosing(messages):
            while True:
                coming = asyncio.ensure_future(anext(messages, None))
                try:
                    await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not coming.done():
                        coming.cancel()
                        await asyncio.wait({coming})
                if coming.cancelled():
                    raise UnavailableError(
                        "this control plane stops", reason="STOPPING", remedy="Ask again.", retry_after=1.0
                    )
                message = coming.result()
                if message is None:
                    return
                yield message
    finally:
        stopping.cancel()
