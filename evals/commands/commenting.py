"""`evals ci comment`: one comment on a pull request, updated in place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from evals import schema
from evals.errors import EnvironmentFault, InputError
from evals.reports.markdown import MARKER

_MOST_CHARACTERS = 65_536
_PAGES = 30
_A_PAGE = 100


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """Where a comment goes. `head` is the commit that a workflow run was about, where that is known."""

    api: str
    token: str
    repository: str
    head: str | None
    link: str | None


def hosting_of(environ: Mapping[str, str]) -> Hosting:
    """From the variables of a workflow; `InputError` names what is missing."""
    missing = [name for name in ("GITHUB_TOKEN", "GITHUB_REPOSITORY") if not environ.get(name)]
    if missing:
        raise InputError(f"{missing[0]}: is not set; a job that comments needs it")
    server, run = environ.get("GITHUB_SERVER_URL"), None
    event = _event(environ.get("GITHUB_EVENT_PATH"))
    run = event.get("workflow_run") or {}
    number = run.get("id") or environ.get("GITHUB_RUN_ID")
    link = f"{server}/{environ['GITHUB_REPOSITORY']}/actions/runs/{number}" if server and number else None
    return Hosting(
        api=environ.get("GITHUB_API_URL", "https://api.github.com"),
        token=environ["GITHUB_TOKEN"],
        repository=environ["GITHUB_REPOSITORY"],
        head=run.get("head_sha"),
        link=link,
    )


def _event(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"GITHUB_EVENT_PATH: {path} cannot be read: {error}") from None
    return found if isinstance(found, dict) else {}


def post(folder: Path, hosting: Hosting) -> str:
    """Put what `evals ci evaluate` has kept in a folder onto its pull request; the comment's address.

    The folder comes from a job that may be another's: the number must be a pull request whose head is the commit that
    the workflow run was about, and the text one of ours.
    """
    number, text = _read(folder, hosting.link)
    headers = {"authorization": f"Bearer {hosting.token}", "accept": "application/vnd.github+json"}
    try:
        with httpx2.Client(base_url=hosting.api, headers=headers, timeout=30.0) as client:
            _check_head(client, hosting, number)
            return _put(client, hosting, number, text)
    except httpx2.HTTPError as error:
        raise EnvironmentFault(f"{hosting.api}: {type(error).__name__}: {error}") from None


def _read(folder: Path, link: str | None) -> tuple[int, str]:
    try:
        about = schema.load_json((folder / "pull.json").read_bytes(), "pull", str(folder / "pull.json"))
        text = (folder / "comment.md").read_text("utf-8")
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None
    if about["number"] is None:
        raise InputError(f"{folder / 'pull.json'}: number: is null: this was no pull request")
    if not text.startswith(MARKER):
        raise InputError(f"{folder / 'comment.md'}: does not begin with {MARKER}")
    if link:
        text = f"{text.rstrip()}\n\n[the whole report]({link})\n"
    if len(text) > _MOST_CHARACTERS:
        raise InputError(f"{folder / 'comment.md'}: has {len(text)} characters, more than a comment can have")
    return int(about["number"]), text


def _answer(response: httpx2.Response, what: str) -> Any:
    if response.status_code >= 400:
        raise EnvironmentFault(f"{what}: the API answers {response.status_code}: {response.text[:300]}")
    return response.json()


def _check_head(client: httpx2.Client, hosting: Hosting, number: int) -> None:
    if hosting.head is None:
        return
    pull = _answer(client.get(f"/repos/{hosting.repository}/pulls/{number}"), f"pull request {number}")
    if pull["head"]["sha"] != hosting.head:
        raise InputError(f"pull request {number} is at {pull['head']['sha']}, and the report is of {hosting.head}")


def _put(client: httpx2.Client, hosting: Hosting, number: int, text: str) -> str:
    comments = f"/repos/{hosting.repository}/issues/{number}/comments"
    for page in range(1, _PAGES + 1):
        found = _answer(client.get(comments, params={"per_page": _A_PAGE, "page": page}), comments)
        for old in found:
            if str(old["body"]).startswith(MARKER) and old["user"]["type"] == "Bot":
                address = f"/repos/{hosting.repository}/issues/comments/{old['id']}"
                return str(_answer(client.patch(address, json={"body": text}), address)["html_url"])
        if len(found) < _A_PAGE:
            break
    return str(_answer(client.post(comments, json={"body": text}), comments)["html_url"])
