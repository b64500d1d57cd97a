"""Recordings: real deliveries of coding agents, kept to be graded without a model.

    fixtures/recordings/AGENT/VARIANT/TASK/KIND-EPOCH/recording.json, workspace.tar.gz

`VARIANT` is `main` for the agent file itself. `KIND` says how the delivery was made: `agent` (it ran
and mended its work) or `single-shot` (one answer, nothing run).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals import schema, workspace
from evals.errors import EnvironmentFault, InputError


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One delivery. `revision` is the digest of the revision, `instruction_digest` that of the text that was asked."""

    path: Path
    task: str
    stack: str
    kind: str
    epoch: int
    model: str | None
    revision: str
    instruction_digest: str
    document: dict[str, Any]

    @property
    def name(self) -> str:
        """Where it stands below `fixtures/recordings/`."""
        return "/".join(self.path.parts[-4:])

    @property
    def correct(self) -> bool:
        """Whether a person has read it and holds it to be correct, so that every check must pass it."""
        return bool(self.document.get("correct", False))

    def files(self) -> dict[str, bytes]:
        """The delivered files."""
        archive = self.path / "workspace.tar.gz"
        try:
            data = archive.read_bytes()
        except OSError as error:
            raise InputError(f"{archive}: cannot be read: {error.strerror}") from None
        files = workspace.read_archive(data, str(archive))
        if workspace.digest(files) != self.document["workspace"]:
            raise InputError(f"{archive}: its content does not match `workspace` in recording.json")
        return files


def load(path: Path) -> Recording:
    """Read and check one recording's `recording.json`."""
    source = path / "recording.json"
    try:
        text = source.read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}") from None
    document = schema.load_json(text, "recording", str(source))
    return Recording(
        path=path,
        task=document["task"],
        stack=document["stack"],
        kind=document["kind"],
        epoch=document["epoch"],
        model=document["model"],
        revision=document["revision"],
        instruction_digest=document["instruction_sha256"],
        document=document,
    )


def load_all(root: Path) -> list[Recording]:
    """Every recording below `root`."""
    paths = sorted((root / "fixtures" / "recordings").glob("*/*/*/*/recording.json"))
    return [load(path.parent) for path in paths]


def keep(root: Path, document: dict[str, Any], files: Mapping[str, bytes]) -> tuple[Path, bool]:
    """Keep a delivery as a recording, under the next free epoch; its folder, and whether it is new.

    One that is there already, the same files by the same revision, is left as it is.
    """
    folder = root / "fixtures" / "recordings" / document["agent"] / (document["variant"] or "main") / document["task"]
    others = [load(path.parent) for path in sorted(folder.glob(f"{document['kind']}-*/recording.json"))]
    for other in others:
        same = (other.revision, other.stack, other.document["workspace"])
        if same == (document["revision"], document["stack"], document["workspace"]):
            return other.path, False
    taken = {other.epoch for other in others}
    epoch = document["epoch"]
    while epoch in taken:
        epoch += 1
    path = folder / f"{document['kind']}-{epoch}"
    document = {**document, "epoch": epoch}
    schema.check(document, "recording", str(path))
    try:
        _write(path, document, files)
    except OSError as error:
        raise EnvironmentFault(f"cannot write {path}: {error.strerror}") from None
    return path, True


def _write(path: Path, document: dict[str, Any], files: Mapping[str, bytes]) -> None:
    """The folder aside, then renamed: it is there whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=path.parent))
    try:
        aside.chmod(0o755)
        (aside / "workspace.tar.gz").write_bytes(workspace.archive(files))
        (aside / "recording.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
        aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
