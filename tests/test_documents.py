"""The READMEs: their commands, links and file names lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from tests.support.launching import ROOT

README = (ROOT / "README.md").read_text()
EVERY = [
    file
    for file in sorted(ROOT.rglob("*.md"))
    if not {".venv", ".cache"} & set(file.relative_to(ROOT).parts)
]


@pytest.mark.parametrize("file", EVERY, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_is_a_target_and_every_variable_is_known(file):
    makefile = (ROOT / "Makefile").read_text()
    lines = re.findall(r"^([a-z][a-z -]*):", makefile, re.MULTILINE)
    targets = {word for line in lines for word in line.split()}
    variables = set(re.search(r"^VARIABLES := (.*)$", makefile, re.MULTILINE)[1].split())
    text = file.read_text()
    blocks = re.findall(r"^make (.*?)(?:  +#.*)?$", text, re.MULTILINE)
    for command in (*blocks, *re.findall(r"`make ([^`]*)`", _flat(text))):
        words = shlex.split(command, comments=True)
        given = {word.partition("=")[0] for word in words if "=" in word}
        assert {word for word in words if "=" not in word} <= targets, command
        assert given <= variables, command


def test_the_readme_shows_the_commands_of_every_day():
    commands = re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)
    assert {"ablation", "report", "plan", "run", "status", "test"} <= set(commands)


@pytest.mark.parametrize("file", EVERY, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(file):
    text = re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\((?!http)(.*?)\)", text):
        path, _, heading = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), link
        if heading:
            assert heading in _anchors(target.read_text()), link


@pytest.mark.parametrize("file", EVERY, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_that_a_text_names_are_there(file):
    """As seen from the text's own folder or from the root; a user's own files are not."""
    text = re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL)
    for name in re.findall(r"`([\w./-]+\.(?:py|toml|md|lock|html|css|js))`", text):
        if Path(name).stem not in (  # a user's, or what there shall not be
            "NAME",
            "FILE",
            "mine",
            "my_rival",
            "cluster",
            "index",
            "utils",
        ):
            assert (file.parent / name).is_file() or (ROOT / name).is_file(), name


def _anchors(text: str) -> set[str]:
    """The headings as GitHub links them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


def _flat(text: str) -> str:
    """The text with its lines joined."""
    return " ".join(text.split())
