"""The console script `enchain-engine-conformance`: flags, the run, the report, the exit code.

It speaks gRPC to the engine server and touches nothing else of it. Exit code 0: nothing failed. 1: something
did. 2: the suite could not be run as asked.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from rich.console import Console
from ulid import ULID

from enchain.artifacts.store import DirectoryArtifacts
from enchain.chains.errors import EnchainError
from enchain.process.channels import open_channel
from enchain.process.clock import SystemClock
from enchain.process.tls import TlsFiles
from enchain.sdk.conformance import restarting, suite
from enchain.sdk.conformance.calling import Caller
from enchain.sdk.conformance.probe import Options, Restart
from enchain.sdk.conformance.report import Report, Verdict
from enchain.sdk.conformance.samples import SuiteInputs, read_file

MARKS = {"passed": ".", "failed": "F", "skipped": "s"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suite against an engine server; answer the exit code."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.list:
        for check in suite.CHECKS:
            sys.stdout.write(f"{check.name}: {check.rule}\n")
        return 0
    if not args.address:
        parser.error("the address of the engine server is missing: HOST:PORT")
    if (args.tls_cert is None) != (args.tls_key is None) or (args.tls_ca and not args.tls_cert):
        parser.error("--tls-cert and --tls-key go together")
    known = {check.name for check in suite.CHECKS}
    if unknown := sorted(set(args.only) - known):
        parser.error(f"there is no check {unknown[0]!r}; --list names them")
    try:
        report = asyncio.run(_run(args))
        report.show(Console())
        if args.report:
            Path(args.report).write_text(report.to_json())
    except (EnchainError, OSError) as error:
        told = f"{error.message}. {error.remedy}" if isinstance(error, EnchainError) else str(error)
        sys.stderr.write(f"{parser.prog}: {told.strip()}\n")
        return 2
    return 0 if report.conforms else 1


def make_parser() -> argparse.ArgumentParser:
    """Answer the command line."""
    parser = argparse.ArgumentParser(
        prog="enchain-engine-conformance",
        description="Checks that an engine server, in whatever language, keeps the engine protocol.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("address", nargs="?", metavar="HOST:PORT", help="where the engine server listens")
    add("--suite-inputs", metavar="FILE", help="samples to feed it, YAML or JSON (docs/conformance.md)")
    add("--report", metavar="FILE", help="write the report here, as JSON")
    add("--only", metavar="NAME", action="append", default=[], help="run this check; may be repeated")
    add("--list", action="store_true", help="list the checks and their rules, and end")
    add("--secret", default="", metavar="TEXT", help="what the secret sample refers to, in plain text")
    add("--artifacts", metavar="DIR", help="artifact store to put the samples' directories into first")
    add("--timeout", type=float, default=120.0, metavar="SECONDS", help="for one check (120)")
    add("--no-drain", action="store_true", help="leave out the last check, after which the server is drained")
    restart = parser.add_mutually_exclusive_group()
    restart.add_argument("--restart-command", metavar="COMMAND", help="kills the server and starts it again")
    restart.add_argument("--kill-pid", type=int, metavar="PID", help="kill it; something else restarts it")
    for name, text in (("cert", "certificate"), ("key", "private key"), ("ca", "authorities believed")):
        add(f"--tls-{name}", type=Path, metavar="FILE", help=f"{text}, PEM")
    return parser


async def _run(args: argparse.Namespace) -> Report:
    inputs = SuiteInputs()
    if args.suite_inputs:
        inputs = read_file(Path(args.suite_inputs), secret=args.secret)
    if args.artifacts:
        await _store(inputs, Path(args.artifacts))
    options = Options(restart=_restart(args), drain=not args.no_drain, timeout_seconds=args.timeout)
    tls = TlsFiles(args.tls_cert, args.tls_key, args.tls_ca) if args.tls_cert else None
    channel = open_channel(args.address, tls=tls, local_pool=True, traced=False)
    clock = SystemClock()
    try:
        return await suite.run(
            Caller(channel, timeout_seconds=args.timeout, clock=clock),
            inputs,
            options,
            clock=clock,
            new_id=lambda: str(ULID()).lower(),
            only=args.only,
            tell=_tell,
        )
    finally:
        await channel.close(None)


def _restart(args: argparse.Namespace) -> Restart | None:
    if args.restart_command:
        return restarting.by_command(args.restart_command)
    return restarting.by_killing(args.kill_pid) if args.kill_pid else None


async def _store(inputs: SuiteInputs, directory: Path) -> None:
    """Put the directories that the samples name where engine servers look for artifacts."""
    store = DirectoryArtifacts(directory)
    for digest, content in inputs.packed.items():
        await store.put(digest, _once(content))


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _tell(verdict: Verdict) -> None:
    """Show that it goes on, where a person watches."""
    if sys.stderr.isatty():
        sys.stderr.write(MARKS[verdict.status])
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
