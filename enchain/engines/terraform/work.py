"""The directory in which a work's module, state and plans lie. Blocking; the engine calls it in a thread.

<Step.directory>/work.json       there from before the handle until the destroy has succeeded
                 module/         the module; Terraform runs here. What it writes beside it stays
                 live.json       which files of `module/` came from the artifact
                 inputs/         plain values, and references to secrets
                 data/           TF_DATA_DIR: child modules and provider plugins
                 state/          terraform.tfstate, mode 0600: secrets stand in it in plain, as ever
                 plans/<digest>/ a saved plan and what it was made from
                 killed.json     a run was killed: things may exist that no state knows
"""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enchain.engines.terraform.files import PRIVATE_FILE, copy_module, is_locked, make, read, write
from enchain.engines.terraform.variables import Variables, from_record, to_record
from enchain.terraform_modules.module import tree_digest

_VALUES = "values.tfvars.json"
_REFERENCES = "secrets.json"
PLANS_MAX = 4
"""Plans kept of a work; the oldest go first, and applying them fails as stale."""
OVERRIDE = "zz_enchain_override.tf.json"
"""Sorts last, so that no backend of the module wins: each work has a state of its own."""


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A saved plan.

    Attributes:
        file: The plan, as Terraform wrote it.
        origin: Digest of what it was made from.
    """

    file: Path
    origin: str


@dataclass(frozen=True, slots=True)
class Work:
    """The directory of one work."""

    root: Path

    @property
    def module(self) -> Path:
        """Where Terraform runs."""
        return self.root / "module"

    @property
    def state(self) -> Path:
        """The state file."""
        return self.root / "state" / "terraform.tfstate"

    @property
    def plans(self) -> Path:
        """All saved plans, and drafts of them."""
        return self.root / "plans"

    def exists(self) -> bool:
        """Say whether anything was begun here and not destroyed."""
        return (self.root / "work.json").exists()

    def is_absent(self) -> bool:
        """Say whether it is on record that nothing is left."""
        return (self.root / "absent.json").exists()

    def open(self, work_id: str) -> None:
        """Note that something is about to begin here."""
        make(self.root)
        make(self.state.parent)
        write(self.root / "work.json", {"work_id": work_id})
        (self.root / "absent.json").unlink(missing_ok=True)

    def begin_change(self) -> None:
        """Note that a change is about to begin."""
        write(self.root / "applied.json", {})

    def may_hold(self, *, begun: bool = True) -> bool:
        """Say whether anything may exist; only a state that says so, or no change ever, proves that not.

        Args:
            begun: The change that ended last has touched a resource. Terraform writes no state before.
        """
        if self.killed() is not None:
            return True
        if self.state.exists():
            return self.resources() != []
        return begun and (self.root / "applied.json").exists()

    def prepare(self, source: Path, variables: Variables) -> None:
        """Lay a module and its values down for the next change.

        What a change before was made from stays beside, until `promote`: a next one that is refused must not
        keep anybody from destroying what stands.
        """
        shutil.rmtree(self._next, ignore_errors=True)
        copy_module(source, self._next / "module")
        write(self._next / _VALUES, dict(variables.plain))
        records = [to_record(variable) for variable in variables.secret]
        write(self._next / _REFERENCES, {"secret": records})
        self._lay_module(self._next / "module")

    def promote(self) -> None:
        """Take what was prepared for what stands: the change has begun to touch things, or has ended well."""
        if self._next.exists():
            shutil.rmtree(self._applied, ignore_errors=True)
            self._next.rename(self._applied)

    def restore(self) -> None:
        """Go back to what stands; what was prepared beside it came to nothing."""
        if self._applied.exists():
            shutil.rmtree(self._next, ignore_errors=True)
            self._lay_module(self._applied / "module")

    def _lay_module(self, source: Path) -> None:
        """Make `module/` hold exactly the source's files, beside those that Terraform made itself.

        Nothing is touched where it does so already: a tool may be running in it.
        """
        live = read(self.root / "live.json") or {"digest": "", "files": []}
        digest = tree_digest(source)
        if live["digest"] == digest and self.module.exists():
            return
        files = copy_module(source, self.module)
        for name in set(live["files"]) - set(files):
            (self.module / name).unlink(missing_ok=True)
        self._override(self.module)
        write(self.root / "live.json", {"digest": digest, "files": files})

    def live_digest(self) -> str:
        """Answer the digest of the artifact that `module/` holds; empty where there is none."""
        return str((read(self.root / "live.json") or {}).get("digest", ""))

    @property
    def next_values(self) -> Path:
        """The plain values of the change that is being made."""
        return self._next / _VALUES

    @property
    def values(self) -> Path:
        """The plain values that what stands was made from."""
        return self._current / _VALUES

    @property
    def source(self) -> Path:
        """The module that what stands was made from."""
        return self._current / "module"

    def variables(self) -> Variables:
        """Read back the variables that what stands was made from."""
        secret = (read(self._current / _REFERENCES) or {}).get("secret", [])
        return Variables(read(self.values) or {}, tuple(from_record(record) for record in secret))

    def is_initialised(self) -> bool:
        """Say whether `init` has been through here."""
        return (self.root / "data" / "terraform.tfstate").exists()

    def begin_draft(self, source: Path | None, plain: Mapping[str, Any]) -> tuple[Path, Path, Path]:
        """Prepare a place to plan in; answer directory, module and values.

        Without a source the plan is made in `module/` itself, which it does not change.
        """
        make(self.plans)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self.plans))
        values = draft / _VALUES
        write(values, dict(plain))
        if source is None:
            return draft, self.module, values
        copy_module(source, draft / "module")
        self._override(draft / "module")
        return draft, draft / "module", values

    def keep_plan(self, draft: Path, origin: str) -> str:
        """Keep a draft's plan and answer its digest."""
        content = (draft / "plan").read_bytes()
        digest = f"sha256:{hashlib.sha256(content + origin.encode()).hexdigest()}"
        target = self.plans / digest.removeprefix("sha256:")
        make(target)
        (draft / "plan").rename(target / "plan")
        (target / "plan").chmod(PRIVATE_FILE)
        write(target / "about.json", {"origin": origin})
        shutil.rmtree(draft, ignore_errors=True)
        kept = sorted(self.plans.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for old in kept[PLANS_MAX:]:
            shutil.rmtree(old, ignore_errors=True)
        return digest

    def plan(self, digest: str) -> KeptPlan | None:
        """Find a saved plan."""
        directory = self.plans / digest.removeprefix("sha256:")
        about = read(directory / "about.json")
        return (
            KeptPlan(directory / "plan", about["origin"]) if about and (directory / "plan").exists() else None
        )

    def drop_plans(self) -> None:
        """Delete all saved plans: what stands has changed."""
        shutil.rmtree(self.plans, ignore_errors=True)

    def protect_state(self) -> None:
        """Let nobody else read the state; Terraform writes it readable for all."""
        for path in self.state.parent.glob("*"):
            path.chmod(PRIVATE_FILE)

    def resources(self) -> list[str] | None:
        """List what the state says exists; None where it cannot be read."""
        try:
            state = json.loads(self.state.read_bytes())
            return [
                f"{resource['type']}.{resource['name']}"
                for resource in state["resources"]
                if resource["mode"] == "managed" and resource["instances"]
            ]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def serial(self) -> str:
        """Answer which state stands."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            state = json.loads(self.state.read_bytes())
            return f"{state['lineage']}/{state['serial']}"
        return ""

    def was_killed(self) -> bool:
        """Say whether a run that held the state was killed; its note of the lock is still there then."""
        note = self.state.with_name(f".{self.state.name}.lock.info")
        return note.exists() and not is_locked(self.state)

    def note_kill(self, in_flight: list[str]) -> None:
        """Write down that a run was killed, and what it was about."""
        known = self.killed() or []
        write(self.root / "killed.json", {"in_flight": sorted({*known, *in_flight})})

    def killed(self) -> list[str] | None:
        """Answer what killed runs were about; None where none was killed."""
        note = read(self.root / "killed.json")
        return None if note is None else list(note["in_flight"])

    @property
    def kill_note(self) -> Path:
        """The file that says that a run was killed; operators delete it once they have looked."""
        return self.root / "killed.json"

    @property
    def errored_state(self) -> Path:
        """Where Terraform leaves the state when it could not write it to its place."""
        return self.module / "errored.tfstate"

    def remove(self) -> None:
        """Delete everything and put on record that nothing is left. A second call ends what a first began."""
        make(self.root)
        write(self.root / "absent.json", {})
        for path in self.root.iterdir():
            if path.name not in {"absent.json", "work.json"}:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (self.root / "work.json").unlink(missing_ok=True)

    @property
    def _next(self) -> Path:
        return self.root / "next"

    @property
    def _applied(self) -> Path:
        return self.root / "applied"

    @property
    def _current(self) -> Path:
        return self._applied if self._applied.exists() else self._next

    def _override(self, module: Path) -> None:
        backend = {"terraform": {"backend": {"local": {"path": str(self.state)}}}}
        write(module / OVERRIDE, backend)
