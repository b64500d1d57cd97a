import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.catalog import agents, front_matter
from evals.errors import InputError
from evals.types import Revision
from tests.project import ROOT, Evals


def parse(text: str | bytes) -> Revision:
    data = text.encode() if isinstance(text, str) else text
    return agents.parse(data, variant=None, spelled="x", source="x.md")


MINIMAL = "---\nname: x\ndescription: y\n---\nDo it.\n"


def test_the_shipped_agents_load() -> None:
    assert agents.names(ROOT) == [
        ("backend-implementation-engineer", None),
        ("backend-implementation-engineer", "minimal"),
        ("backend-implementation-engineer", "verify-first"),
    ]
    revision = agents.load("backend-implementation-engineer", ROOT)
    assert revision.body.startswith("You are a senior backend engineer.")
    assert "\n\n<example>" in revision.description


@pytest.mark.parametrize(
    "line",
    [
        "description: Use this: it helps",
        "description: says \"hello\": and 'more'",
        "description: [not a list",
        "description: {not a map",
        "description: *star & ampersand",
        "description: ends with a colon:",
        "description: `code` and @mention",
        "description: back\\slash: x",
        'description: <example>\\nuser: "hi"\\n</example>',
    ],
)
def test_front_matter_that_is_no_yaml_loads(line: str) -> None:
    revision = parse(f"---\nname: x\n{line}\n---\nDo it.\n")
    assert revision.description == line.removeprefix("description: ").replace("\\n", "\n")


def test_what_does_not_act_on_a_run_does_not_change_the_digest() -> None:
    same = [
        MINIMAL,
        "\ufeff" + MINIMAL,
        MINIMAL.replace("\n", "\r\n"),
        MINIMAL.replace("description: y", "description: other\ncolor: red"),
        MINIMAL + "\n\n",
    ]
    assert len({parse(text).digest for text in same}) == 1


def test_what_acts_on_a_run_changes_the_digest() -> None:
    different = [
        MINIMAL,
        MINIMAL.replace("Do it.", "Do it!"),
        MINIMAL.replace("description: y", "description: y\ntools: Read"),
        MINIMAL.replace("description: y", "description: y\nmodel: opus"),
        MINIMAL.replace("description: y", "description: y\ndisallowedTools: Read"),
    ]
    assert len({parse(text).digest for text in different}) == len(different)


def test_tools_are_the_same_with_commas_and_as_a_list() -> None:
    with_commas = parse(MINIMAL.replace("description: y", "description: y\ntools: Read, Write"))
    as_list = parse(MINIMAL.replace("description: y", "description: y\ntools:\n  - Read\n  - Write"))
    assert with_commas.tools == as_list.tools == ("Read", "Write")
    assert with_commas.digest == as_list.digest


def test_invalid_utf8_loads() -> None:
    assert "\ufffd" in parse(MINIMAL.encode() + b"\xff").body


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no front matter", "front matter"),
        ("---\nname: x\n---\nDo it.", "description: is missing"),
        ("---\ndescription: x\n---\nDo it.", "name: is missing"),
        ("---\nname: x\ndescription: y\n---\n", "no prompt"),
        ("---\n- a\n- b\n---\nDo it.", "wanted `key: value` lines"),
        ("---\nname: x\ndescription: y\ntools: {a: b}\n---\nDo it.", "tools:"),
        ("---\nname: x\n  : : :\n\tdescription: y\n---\nDo it.", "line"),
        ("", "front matter"),
    ],
)
def test_broken_agents_are_named_with_the_place(text: str, says: str) -> None:
    with pytest.raises(InputError) as raised:
        parse(text)
    assert "x.md" in str(raised.value)
    assert says in str(raised.value)


@given(st.binary(max_size=400))
def test_any_bytes_load_or_are_refused(data: bytes) -> None:
    try:
        parse(data)
    except InputError as error:
        assert str(error).startswith("x.md")


yaml_like = st.text(alphabet=st.sampled_from("ab:#-?'\"[]{}&*!|>%@`,\\n \t\u00e9"), max_size=60)


@given(st.lists(yaml_like, max_size=6), st.text(max_size=60))
def test_any_front_matter_loads_or_is_refused(lines: list[str], body: str) -> None:
    text = "---\nname: x\ndescription: y\n" + "\n".join(lines) + "\n---\n" + body
    try:
        revision = parse(text.encode("utf-8", "replace"))
    except InputError as error:
        assert str(error).startswith("x.md")
    else:
        assert revision.body == revision.body.strip()


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda t: t.strip()))
def test_the_body_is_kept_to_the_letter(body: str) -> None:
    revision = parse(f"---\nname: x\ndescription: y\n---\n{body}")
    assert revision.body == front_matter.decode(body.encode()).strip()


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_every_spelling_of_a_revision(evals: Evals) -> None:
    git(evals.folder, "init", "-q")
    git(evals.folder, "add", ".")
    git(evals.folder, "commit", "-qm", "one")
    path = evals.folder / "agents" / "toy.md"
    before = agents.load("toy", evals.folder)
    path.write_text(path.read_text().replace("small services", "tiny services"))

    assert agents.load("toy@HEAD", evals.folder).digest == before.digest
    assert agents.load("toy", evals.folder).digest != before.digest
    assert agents.load(str(path), evals.folder).digest == agents.load("toy", evals.folder).digest
    variant = agents.load("toy:terse", evals.folder)
    assert agents.load("toy:terse@HEAD", evals.folder).digest == variant.digest
    assert (variant.agent, variant.variant) == ("toy", "terse")


@pytest.mark.parametrize(
    "spelled", ["nosuch", "toy:nosuch", "toy@nosuch", "toy@", "toy@--help", "../toy", "", "toy:", "nosuch.md"]
)
def test_a_spelling_that_names_nothing_is_an_error(evals: Evals, spelled: str) -> None:
    git(evals.folder, "init", "-q")
    with pytest.raises(InputError):
        agents.load(spelled, evals.folder)
