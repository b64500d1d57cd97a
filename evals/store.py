"""Trials on disk. What exists is finished: written aside, renamed, never edited.

    OUTPUT/trials/AGENT/REVISION/TASK/STACK/SETTINGS/EPOCH/GRADING-N.json   a trial
    OUTPUT/trials/.../EPOCH/GRADING-N.NAME.log                              its logs
    OUTPUT/trials/.../EPOCH/GRADING-N.events.jsonl, .trajectory.json        what its solver did
    OUTPUT/trials/.../EPOCH/unfinished-TIME.events.jsonl                    the same of one that was interrupted
    OUTPUT/workspaces/DIGEST.tar.gz                                         what a solver left
    OUTPUT/runs/ID/run.json                                                 which trials belong together
    OUTPUT/.scratch/                                                        what is being made

`GRADING` is the digest of everything that decides a grade, and `N` counts attempts, so a trial whose
graders have changed is graded anew beside the old record.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evals import digests, schema, trajectory, workspace
from evals.errors import EnvironmentFault, InputError
from evals.trajectory import Transcript

_FILE = re.compile(r"\A(?P<grading>[0-9a-f]{12})-(?P<attempt>\d+)\.json\Z")


@dataclass(frozen=True, kw_only=True)
class Key:
    """What a trial is of. Its path in the store follows from it. `settings` is a digest of a solver's options."""

    agent: str
    variant: str | None
    revision: str
    task: str
    stack: str
    solver: str
    kind: str
    model: str | None
    epoch: int
    settings: str | None = None

    @property
    def path(self) -> Path:
        """The trial's folder, relative to `trials/`. A variant is a spelling, and not part of it."""
        model = self.model.replace("/", "_") if self.model else None
        settings = ".".join(part for part in (self.solver, self.kind, model, self.settings) if part)
        return Path(self.agent, self.revision[:12], self.task, self.stack, settings, str(self.epoch))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A stored trial: the key, where it is, and its document (`trial.schema.json`)."""

    key: Key
    path: Path
    document: Mapping[str, Any]

    @property
    def fault(self) -> dict[str, str] | None:
        """Why it could not be measured, or None."""
        found: dict[str, str] | None = self.document["fault"]
        return found

    @property
    def cost_usd(self) -> float | None:
        """What it cost to solve, a fault included; None where that is not known."""
        solution = self.document["solution"] or self.document["fault"] or {}
        found: float | None = solution.get("cost_usd")
        return found

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Scores by name."""
        return {score["name"]: score for score in self.document["scores"]}


def _is_locked(path: Path) -> bool:
    try:
        with open(path, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def trial_id(key: Key, grading: str, attempt: int) -> str:
    """Ten hex digits that name a trial."""
    return digests.of_json([asdict(key), grading, attempt])[:10]


class Store:
    """A folder of trials. Use as a context manager: it holds a scratch folder as long as it is open."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._trials = root / "trials"
        self._workspaces = root / "workspaces"
        self._runs = root / "runs"
        self._scratch_root = root / ".scratch"
        self._lock = -1
        self._scratch: Path | None = None

    def __enter__(self) -> Store:
        try:
            for folder in (self._trials, self._workspaces, self._runs, self._scratch_root):
                folder.mkdir(parents=True, exist_ok=True)
            with self._turn():
                self._sweep()
                self._scratch = Path(tempfile.mkdtemp(prefix="run-", dir=self._scratch_root))
                self._lock = os.open(self._scratch / "lock", os.O_CREAT | os.O_RDWR, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise EnvironmentFault(
                f"cannot write to the output folder {self.root}: {error.strerror}; choose another with --output"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            os.close(self._lock)
            self._scratch = None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One process at a time, for as short as can be."""
        with open(self._scratch_root / "turn", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _sweep(self) -> None:
        """Remove what processes that were killed have left: their lock is free, or was never made."""
        for folder in self._scratch_root.glob("run-*"):
            if not _is_locked(folder / "lock"):
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def scratch(self) -> Path:
        """A folder of this process alone, removed when it ends."""
        assert self._scratch is not None, "the store is not open"
        return self._scratch

    def _write(self, path: Path, data: bytes) -> None:
        """Write aside, then rename: the file is there whole, or not at all."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self.scratch)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except OSError as error:
            raise EnvironmentFault(
                f"cannot write {path}: {error.strerror}; what has finished is kept: make room and run the same command"
            ) from None

    def add_workspace(self, files: dict[str, bytes]) -> tuple[str, Path]:
        """Keep a workspace; its digest and its archive."""
        digest = workspace.digest(files)
        path = self.workspace_path(digest)
        if not path.exists():
            self._write(path, workspace.archive(files))
        return digest, path

    def workspace_path(self, digest: str) -> Path:
        """Where the archive of a workspace is."""
        return self._workspaces / f"{digest}.tar.gz"

    def workspace_files(self, digest: str) -> dict[str, bytes]:
        """The files of a kept workspace; `InputError` where the archive is gone or damaged."""
        path = self.workspace_path(digest)
        try:
            files = workspace.read_archive(path.read_bytes(), str(path))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        if workspace.digest(files) != digest:
            raise InputError(f"{path}: its content does not match its digest; remove it and run again")
        return files

    def transcript(self, key: Key) -> Transcript:
        """A file for what a solver does, kept as it goes on, even if the trial never ends."""
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        return Transcript(self._trials / key.path / f"unfinished-{now}.events.jsonl")

    def add_trial(
        self, key: Key, document: dict[str, Any], logs: dict[str, str], transcript: Transcript | None = None
    ) -> Trial:
        """Keep a finished trial as the next attempt at it: `id` and `attempt` are given here.

        Two processes that finish the same trial take turns, so none overwrites the other's.
        """
        with self._turn():
            return self._add_trial(key, document, logs, transcript)

    def _add_trial(
        self, key: Key, document: dict[str, Any], logs: dict[str, str], transcript: Transcript | None
    ) -> Trial:
        grading = document["digests"]["grading"]
        attempt = max((n for g, n, _ in self._attempts(key) if g == grading[:12]), default=0) + 1
        document = {**document, "id": trial_id(key, grading, attempt), "attempt": attempt}
        schema.check(document, "trial", f"trial {document['id']}")
        stem = f"{grading[:12]}-{attempt}"
        folder = self._trials / key.path
        # Logs first: a trial that is there is whole.
        for name, text in logs.items():
            self._write(folder / f"{stem}.{name}.log", text.encode("utf-8", "replace"))
        if transcript is not None and transcript.events:
            found = json.dumps(trajectory.of_events(transcript.events, document), indent=1, ensure_ascii=False)
            self._write(folder / f"{stem}.trajectory.json", found.encode("utf-8", "replace"))
            transcript.keep_as(folder / f"{stem}.events.jsonl")
        path = folder / f"{stem}.json"
        self._write(path, json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8", "replace"))
        return Trial(key=key, path=path, document=document)

    def _attempts(self, key: Key) -> list[tuple[str, int, Path]]:
        folder = self._trials / key.path
        matches = ((_FILE.match(p.name), p) for p in (folder.iterdir() if folder.is_dir() else ()))
        found = [(m["grading"], int(m["attempt"]), path) for m, path in matches if m]
        return sorted(found, key=lambda item: (item[1], item[2].stat().st_mtime_ns))

    def trials_of(self, key: Key) -> list[Trial]:
        """Every attempt at a trial, under all gradings, oldest first."""
        return [load_trial(path) for _, _, path in self._attempts(key)]

    def current(self, key: Key, grading: str) -> Trial | None:
        """The newest attempt that was scored under a grading, or None."""
        scored = [load_trial(path) for g, _, path in self._attempts(key) if g == grading[:12]]
        return next((trial for trial in reversed(scored) if trial.fault is None), None)

    def all_trials(self) -> Iterator[Trial]:
        """Every stored trial."""
        for path in sorted(self._trials.glob("*/*/*/*/*/*/*.json")):
            if _FILE.match(path.name):
                yield load_trial(path)

    def revision_trials(self, agent: str, revision: str) -> list[Trial]:
        """Every stored attempt of a revision, by its digest."""
        paths = sorted(self._trials.glob(f"{agent}/{revision[:12]}/*/*/*/*/*.json"))
        return [load_trial(path) for path in paths if _FILE.match(path.name)]

    def add_run(self, document: dict[str, Any]) -> Path:
        """Keep a run."""
        schema.check(document, "run", f"run {document['id']}")
        path = self._runs / str(document["id"]) / "run.json"
        self._write(path, json.dumps(document, indent=1).encode())
        return path

    def runs(self) -> list[dict[str, Any]]:
        """All runs, oldest first."""
        paths = sorted(self._runs.glob("*/run.json"))
        return [schema.load_json(path.read_bytes(), "run", str(path)) for path in paths]

    def run(self, name: str) -> dict[str, Any]:
        """A run by its id, the unambiguous beginning of one, or `latest`."""
        documents = self.runs()
        if name == "latest" and documents:
            return documents[-1]
        found = [document for document in documents if document["id"].startswith(name)]
        if len(found) != 1:
            what = "no run" if not found else f"{len(found)} runs"
            raise InputError(f"{name!r} names {what} in {self._runs}; see `evals list runs`")
        return found[0]

    def find_trial(self, name: str) -> Trial:
        """A trial by its id or the unambiguous beginning of one, or by its file."""
        if Path(name).is_file():
            return load_trial(Path(name))
        found = [trial for trial in self.all_trials() if trial.document["id"].startswith(name)]
        if len(found) != 1:
            what = "no trial" if not found else f"{len(found)} trials"
            raise InputError(f"{name!r} names {what} in {self._trials}; ids stand in the table of `evals run`")
        return found[0]

    def folder_trials(self, relative: str) -> list[Trial]:
        """Every attempt in a trial's folder, as runs name it."""
        folder = self._trials / relative
        paths = [path for path in folder.glob("*.json") if _FILE.match(path.name)]
        return [load_trial(path) for path in sorted(paths, key=lambda p: p.stat().st_mtime_ns)]


def load_trial(path: Path) -> Trial:
    """Read and check a trial file; `InputError` names each field at fault."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    document = schema.load_json(data, "trial", str(path))
    return Trial(key=Key(**document["key"]), path=path, document=document)
