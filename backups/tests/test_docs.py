"""The documentation says what the code does: commands, options, settings, checks, exit codes, links, pictures.

Commands in ``sh`` and ``console`` blocks are parsed by the real parsers, as if they had been typed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from django.core.management import CommandError, get_commands, load_command_class
from django.core.management.base import CommandParser, DjangoHelpFormatter

from backups.checks import SETTING_IDS
from backups.conf import SETTING_DEFAULTS
from backups.exceptions import BackupError, Interrupted

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGE_IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]
OPERATIONS = ROOT / "docs/admin/BACKUP_AND_RESTORE.md"
SETTINGS = ROOT / "docs/admin/SETTINGS.md"
ARCHIVE_FORMAT = ROOT / "docs/admin/ARCHIVE_FORMAT.md"

# What every command of Django has; no page needs to repeat it.
DJANGO_OPTIONS = DjangoHelpFormatter.show_last | {"--help", "--no-color", "--force-color"}
# Options of other programs that pages speak of by themselves.
FOREIGN_OPTIONS = {"--clean", "--require-hashes"}
LARGEST_PICTURE = 150_000

each_page = pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)


# --- reading pages ----------------------------------------------------------------------------------------------------


class Block(NamedTuple):
    """A fenced block: its language and its lines."""

    language: str
    lines: list[str]


@cache
def blocks_and_prose(page: Path) -> tuple[list[Block], str]:
    """The fenced blocks of a page, and its text without them."""
    blocks: list[Block] = []
    prose: list[str] = []
    is_inside = False
    for line in page.read_text().splitlines():
        if line.lstrip().startswith("```"):
            if not is_inside:
                blocks.append(Block(line.strip().removeprefix("```"), []))
            is_inside = not is_inside
        elif is_inside:
            blocks[-1].lines.append(line.strip())
        else:
            prose.append(line)
    assert not is_inside, f"{page.name}: a block is not closed"
    return blocks, "\n".join(prose)


def inline_code(page: Path) -> list[str]:
    """What stands between single backticks; a paragraph may break a line within."""
    paragraphs = re.sub(r"(?<!\n)\n *(?=[^\n|])", " ", blocks_and_prose(page)[1])
    return re.findall(r"`([^`\n]+)`", paragraphs)


def typed_lines(page: Path) -> Iterator[str]:
    """Lines that a reader would type: all of ``sh`` blocks, those after ``$`` of ``console`` blocks."""
    for block in blocks_and_prose(page)[0]:
        if block.language == "sh":
            yield from block.lines
        elif block.language == "console":
            yield from (line.removeprefix("$ ") for line in block.lines if line.startswith("$ "))


def headings(page: Path) -> list[str]:
    """The headings of a page, without their signs."""
    return re.findall(r"^#{1,6} (.+)$", blocks_and_prose(page)[1], re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and most renderers give the headings of a page."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def section(page: Path, heading: str) -> str:
    """What stands below a heading, up to the next of the same or a higher level."""
    match = re.search(rf"^(#+) {re.escape(heading)}$\n(.*?)(?=^#{{1,6}} |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert match, f"{page.name} has no heading {heading!r}"
    return match[2]


def table_rows(text: str) -> list[list[str]]:
    """The cells of every table row in a text, heads and rules left out."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    rules = {number for number, row in enumerate(rows) if all(re.fullmatch(r":?-+:?", cell) for cell in row)}
    return [row for number, row in enumerate(rows) if number not in rules and number + 1 not in rules]


# --- commands ---------------------------------------------------------------------------------------------------------


@cache
def run_words() -> dict[str, str]:
    """The words of ``./run`` and the line of its help that shows each."""
    usage = (ROOT / "run").read_text().split("<<'END'\n", 1)[1].split("\nEND\n", 1)[0]
    return {match[1]: match[0] for match in re.finditer(r"^\./run ([a-z]+)\b.*$", usage, re.MULTILINE)}


@cache
def parser_of(command: str) -> CommandParser:
    """The parser of a management command; raises ValueError where there is no such command."""
    app = get_commands().get(command)
    if app is None:
        raise ValueError(f"there is no command {command}")
    loaded = load_command_class(app, command) if isinstance(app, str) else app
    return loaded.create_parser("manage.py", command)


def project_commands() -> list[str]:
    """The management commands that this project brings."""
    return sorted(name for name, app in get_commands().items() if str(app).startswith(("backups", "timetracker")))


def own_options(command: str) -> list[str]:
    """The options of a command beside those that every command of Django has."""
    return [option for option in parser_of(command)._option_string_actions if option.startswith("--") and option not in DJANGO_OPTIONS]


def check_command(line: str, *, is_typed: bool) -> None:
    """Raise ValueError unless the ``./run …`` or ``manage.py …`` in a line of shell exists.

    A line that is typed must be accepted by the command's parser as a whole; in running text its options must exist.
    """
    words = shlex.split(line, comments=True)
    starts = [number for number, word in enumerate(words) if word in ("./run", "manage.py")]
    if not starts:
        return
    entry, arguments = words[starts[0]], words[starts[0] + 1 :]
    if entry == "./run":
        if not arguments or arguments == ["--empty"]:
            return
        word, *arguments = arguments
        if word not in run_words():
            raise ValueError(f"./run has no word {word}")
        if word not in ("manage", "backup", "restore"):
            for option in arguments:
                if option.startswith("-") and option not in run_words()[word]:
                    raise ValueError(f"./run {word} has no option {option}")
            return
        arguments = {"backup": ["backup_create"], "restore": ["backup_restore"]}.get(word, []) + arguments
    if not arguments or not arguments[0].islower():
        return  # `./run manage …`, `manage.py COMMAND`: no command in particular
    parser = parser_of(arguments[0])
    if is_typed:
        try:
            parser.parse_args(arguments[1:])
        except CommandError as error:
            raise ValueError(f"{line}: {error}") from error
    for option in arguments[1:]:
        if option.startswith("--") and option not in parser._option_string_actions:
            raise ValueError(f"{arguments[0]} has no option {option}")


@each_page
def test_commands_that_readers_type_are_accepted(page: Path) -> None:
    for line in typed_lines(page):
        check_command(line, is_typed=True)


@each_page
def test_commands_in_running_text_exist(page: Path) -> None:
    for code in inline_code(page):
        if "./run" in code or "manage.py" in code:
            check_command(code, is_typed=False)
        elif code.startswith("--"):
            option = re.split(r"[ =]", code)[0]
            known = FOREIGN_OPTIONS | {option for command in project_commands() for option in own_options(command)}
            assert option in known, f"{page.name}: no command has {option}"


@each_page
def test_names_of_commands_and_settings_exist(page: Path) -> None:
    text = page.read_text()
    commands = set(re.findall(r"\bbackup_[a-z][a-z_]*", text))
    assert commands <= set(project_commands()), page.name
    settings = set(re.findall(r"\bBACKUPS_[A-Z][A-Z0-9_]*", text))
    assert settings <= SETTING_DEFAULTS.keys() | variables_read(), page.name


@pytest.mark.parametrize(
    "line",
    [
        "./run manage backup_creat",
        "./run backup --no-such-option",
        "./run restore a.zip --uploads all",
        "./run restore",
        "SEED=1 ./run soek",
        "./run lock --downgrade",
        "python manage.py backup_verify --recover",
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    with pytest.raises(ValueError, match=r"has no (word|option)|there is no command|unrecognized arguments|invalid choice|are required"):
        check_command(line, is_typed=True)


@pytest.mark.parametrize("command", project_commands())
def test_every_command_has_a_section_with_every_option(command: str) -> None:
    (text,) = [section(page, command) for page in PAGES if command in headings(page)]
    for option, action in parser_of(command)._option_string_actions.items():
        if option not in own_options(command):
            continue
        assert re.search(rf"`{option}[ `]", text), f"{command} {option}"
        for choice in action.choices or ():
            assert re.search(rf"`(?:{option} )?{choice}`", text), f"{command} {option} {choice}"


def test_every_word_of_run_is_in_the_documentation() -> None:
    everything = "\n".join(page.read_text() for page in PAGES)
    for word in run_words():
        assert f"./run {word}" in everything, word


def test_every_stage_of_a_restore_is_explained() -> None:
    sources = [path.read_text() for path in (ROOT / "backups/services").glob("*.py")]
    stages = {"lock", "reconcile"} | {stage for source in sources for stage in re.findall(r'enter\(journal, progress, "(\w+)"', source)}
    assert len(stages) > 10
    assert stages <= set(inline_code(OPERATIONS))


# --- settings, checks, exit codes -------------------------------------------------------------------------------------


def documented_default(value: object) -> str:
    """How the table of settings writes a default."""
    if value is None:
        return "none"
    if isinstance(value, list):
        value = ",".join(value)
    return f"`{value}`" if value or isinstance(value, int) else "empty"


def test_every_setting_is_explained_with_its_default_and_its_check() -> None:
    rows = {row[0].strip("`"): row for row in table_rows(section(SETTINGS, "BACKUPS settings"))}
    assert rows.keys() == SETTING_DEFAULTS.keys()
    for name, value in SETTING_DEFAULTS.items():
        _, _, default, meaning, check = rows[name]
        assert default == documented_default(value), name
        assert meaning, name
        assert check == f"`{SETTING_IDS[name.removeprefix('BACKUPS_').lower()]}`", name


def test_every_check_is_explained_and_no_other() -> None:
    found = re.findall(r"backups\.[EW]\d{3}", (ROOT / "backups/checks.py").read_text())
    assert set(found) == set(re.findall(r"backups\.[EW]\d{3}", SETTINGS.read_text()))
    explained = {identity for row in table_rows(section(SETTINGS, "System checks")) for identity in re.findall(r"E\d{3}", row[0])}
    assert {identity.removeprefix("backups.") for identity in found if identity not in SETTING_IDS.values()} <= explained


def variables_read() -> set[str]:
    """Environment variables that settings, launcher and ``./run`` read by their names."""
    settings = (ROOT / "timetracker/settings.py").read_text()
    launch = (ROOT / "timetracker/launch.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|_number)\(\s*"([A-Z0-9_]+)"', settings))
    read |= set(re.findall(r'os\.environ\.get\("([A-Z0-9_]+)"', launch))
    # PYTHONPATH is only handed on.
    return read | set(re.findall(r"\$\{([A-Z]+):[-+]", (ROOT / "run").read_text())) - {"PYTHONPATH"}


def test_every_variable_of_the_environment_is_explained_and_no_other() -> None:
    rows = table_rows(section(SETTINGS, "Environment variables"))
    explained = {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row[0])}
    assert {"DATA_DIR", "SECRET_KEY", "DATABASE_URL", "HOST", "PORT"} <= variables_read()
    assert explained == variables_read()


def every_error(kind: type[BackupError]) -> Iterator[type[BackupError]]:
    """The class and all below it."""
    yield kind
    for child in kind.__subclasses__():
        yield from every_error(child)


def test_every_exit_code_is_explained_and_no_other() -> None:
    codes = {0, Interrupted(2).exit_code, Interrupted(15).exit_code} | {error.exit_code for error in every_error(BackupError)}
    rows = table_rows(section(OPERATIONS, "Exit codes"))
    assert [row[0] for row in rows] == [str(code) for code in sorted(codes)]
    assert all(all(row) for row in rows)


def test_the_format_names_every_key_of_the_manifest() -> None:
    from dataclasses import fields

    from backups.manifest import DUMPS, FORMAT, DatabaseInfo, Manifest, Member, UploadsInfo

    text = section(ARCHIVE_FORMAT, "manifest.json")
    words = {FORMAT, *DUMPS, *(word for dump in DUMPS.values() for word in dump)}
    words |= {item.name for shape in (Manifest, DatabaseInfo, UploadsInfo) for item in fields(shape)}
    for word in words:
        assert f"`{word}`" in text, word
    for item in fields(Member):
        assert f'"{item.name}"' in text, item.name


# --- links, names, pictures -------------------------------------------------------------------------------------------


def local_links(page: Path) -> list[str]:
    """Targets of the links and pictures of a page that lead to no other site."""
    targets = re.findall(r"\]\(([^)\s]+)\)", blocks_and_prose(page)[1])
    return [target for target in targets if not target.startswith(("http://", "https://"))]


def target_of(page: Path, link: str) -> tuple[Path, str]:
    """The file and the anchor that a link means."""
    path, _, anchor = link.partition("#")
    return ((page.parent / path).resolve() if path else page), anchor


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in local_links(page):
        target, anchor = target_of(page, link)
        assert target.is_file(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_and_picture_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            if page.suffix == ".md":
                waiting += [target_of(page, link)[0] for link in local_links(page)]
    assert reached >= {*PAGES, *(ROOT / "docs/images").iterdir()}


def test_the_pages_on_recovery_and_on_backups_point_to_each_other() -> None:
    recovery = ROOT / "docs/DATABASE_RECOVERY.md"
    assert OPERATIONS in {target_of(recovery, link)[0] for link in local_links(recovery)}
    assert recovery in {target_of(OPERATIONS, link)[0] for link in local_links(OPERATIONS)}


@each_page
def test_source_files_that_are_named_exist(page: Path) -> None:
    for code in inline_code(page):
        if re.fullmatch(r"[\w/]+\.py", code) and code != "site_settings.py":
            folders = (ROOT, ROOT / "backups", ROOT / "backups/services")
            assert any((folder / code).is_file() for folder in folders), f"{page.name}: {code}"


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs/images").iterdir())
    assert pictures
    for picture in pictures:
        assert picture.read_bytes().startswith((b"\x89PNG\r\n", b"<svg ")), picture.name
        assert picture.stat().st_size < LARGEST_PICTURE, picture.name


def test_the_readme_starts_with_the_two_commands() -> None:
    first, second, third, fourth = (ROOT / "README.md").read_text().splitlines()[:4]
    assert (first, fourth) == ("```sh", "```")
    assert [shlex.split(line, comments=True) for line in (second, third)] == [["./run"], ["./run", "test"]]


@each_page
def test_pages_name_no_registry_and_no_path_of_one_machine(page: Path) -> None:
    hosts = r"pypi\.org|pythonhosted|npmjs|deb\.debian\.org|docker\.io|ghcr\.io|quay\.io"
    paths = r"(?<![\w.~])/(?:work|tmp|root|home|Users)/"
    found = re.search(rf"{hosts}|{paths}", page.read_text())
    assert not found, f"{page.name}: {found[0] if found else ''}"


def test_decisions_are_numbered_without_a_gap_and_listed() -> None:
    folder = ROOT / "docs/decisions"
    pages = sorted(folder.glob("0*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    index = (folder / "README.md").read_text()
    for page in pages:
        title = page.read_text().splitlines()[0].removeprefix("# ")
        assert f"- [{title}]({page.name})" in index, page.name
        assert "**Turned down.**" in page.read_text(), page.name
