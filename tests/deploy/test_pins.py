"""Every package of a set-up is pinned by the hashes of its files, and no address of a registry is committed."""

import json
import re
from pathlib import Path

import pytest
import renew
import setup

FILES = sorted(setup.REQUIREMENTS.glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_requirement_has_one_version_and_hashes(file: Path) -> None:
    text = file.read_text()
    blocks = renew.blocks(text)
    assert blocks
    for block in blocks:
        assert re.match(r"[a-z0-9.-]+==\S+", block), block
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
    assert not re.search(r"://|--(extra-)?index-url|--find-links", text)


def test_a_package_has_one_version_for_each_python_and_the_same_hashes_in_every_file() -> None:
    seen: dict[tuple[str, str], tuple[str, frozenset[str]]] = {}
    for file in FILES:
        for block in renew.blocks(file.read_text()):
            name, _, version = block.split()[0].partition("==")
            python = "".join(re.findall(r"python_full_version [<>=]+ '[0-9.]+'", block))
            pin = (version, frozenset(re.findall(r"sha256:\w+", block)))
            assert seen.setdefault((name, python), pin) == pin, f"{file.name}: {name}"


def test_the_files_are_those_that_are_renewed() -> None:
    assert {file.stem for file in FILES} == set(renew.FILES)


def test_what_another_file_holds_is_left_out_and_another_marker_stays() -> None:
    marked = "b==2 ; sys_platform == 'win32' \\\n    --hash=sha256:bb\n"
    assert renew.without("a==1 \\\n    --hash=sha256:aa\nb==2 \\\n    --hash=sha256:bb\n",
                         ["a==1 \\\n    --hash=sha256:aa\n", marked]) == (
        f"{renew.HEADER}b==2 \\\n    --hash=sha256:bb\n")  # fmt: skip


def test_the_pages_packages_are_locked_by_integrity_and_run_no_scripts() -> None:
    folder = setup.CLONE / "dashboard"
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    for name, package in packages.items():
        if name:
            assert package["integrity"].startswith("sha512-"), name
            assert "resolved" not in package, name
    assert {"ignore-scripts=true", "omit-lockfile-registry-resolved=true"} <= set(
        (folder / ".npmrc").read_text().split()
    )
