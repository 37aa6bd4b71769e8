"""Runs a script once, from the request to how it ended. The engine calls it.

<Step.directory>/work/          the script's own; its working directory, there until all is destroyed
                 exchange/<key>/<run>/request.json   what it is asked, mode 0600
                                       acknowledged  how many of its handles are durable
"""

import asyncio
import json
import shutil
from pathlib import Path

from enchain.chains.values import Json
from enchain.engines.script.conversation import Conversation, Ended, Told
from enchain.engines.script.request import Asked, document, environment, key_of, secret_environment
from enchain.sdk import courier
from enchain.sdk.port import Step, ToolRun
from enchain.sdk.scope import PRIVATE_DIRECTORY, write_whole


async def ask(step: Step, run: str, asked: Asked, *, repeatable: bool = False) -> Ended:
    """Run the script under the run's name, or join it, and tell what it says until it has ended.

    Raises:
        ToolLostError: It is gone, and nobody knows how it ended. Asking again runs it again if `repeatable`.
    """
    exchange = step.directory / "exchange" / key_of(step) / run
    work = step.directory / "work"
    secrets = await secret_environment(step, asked.command)
    await asyncio.to_thread(_prepare, exchange, work, document(step, asked))
    request, acknowledged = exchange / "request.json", exchange / "acknowledged"
    tool = await step.run(
        run,
        courier.command(asked.argv, stdin=str(request), counter=str(acknowledged)),
        cwd=work,
        env=environment(step, asked, request=request, acknowledged=acknowledged),
        secret_env=secrets,
        repeatable=repeatable,
    )
    return await _Listener(step, asked, acknowledged).hear(tool)


def sweep(directory: Path, *, but: str = "") -> None:
    """Delete what was exchanged under earlier keys."""
    for path in (directory / "exchange").glob("*"):
        if path.name != but:
            shutil.rmtree(path, ignore_errors=True)


def handle_of(step: Step, data: Json) -> dict[str, Json]:
    """Answer the engine's handle, which holds the script's."""
    return {"work": step.work_id, "data": data}


class _Listener:
    """Does what a script's lines ask for."""

    def __init__(self, step: Step, asked: Asked, acknowledged: Path) -> None:
        self._step = step
        self._conversation = Conversation(asked.verb)
        self._acknowledged = acknowledged
        self._handles = 0

    async def hear(self, tool: ToolRun) -> Ended:
        """Take all lines of a run, and its end."""
        async for line in tool.lines():
            await self._do(self._conversation.feed(*courier.parse(line)))
        exit_ = await tool.wait()
        ended = self._conversation.end(exit_.returncode)
        if not ended.findings:
            for finding in self._conversation.errors:
                self._step.report(finding)
        return ended

    async def _do(self, told: Told) -> None:
        if told.progress is not None:
            self._step.progress(*told.progress)
        if told.log is not None:
            self._step.log(told.log)
        if told.finding is not None:
            self._step.report(told.finding)
        if told.handle is not None:
            await self._step.handle(handle_of(self._step, told.handle))
            self._handles += 1
            await asyncio.to_thread(_acknowledge, self._acknowledged, self._handles)


def _prepare(exchange: Path, work: Path, request: dict[str, Json]) -> None:
    work.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    exchange.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    write_whole(exchange / "request.json", json.dumps(request, ensure_ascii=False).encode())


def _acknowledge(path: Path, count: int) -> None:
    """Tell the script that its first `count` handles are durable. Joined runs are heard from their first."""
    if int(path.read_text() or "0") < count:
        write_whole(path, f"{count}\n".encode())
