"""Root and ordinary users. Only root can become another user, so only root collects the tests that need it."""

import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import programs
from local.process import Account, can_reach
from tests.local_stores.conftest import CHECKOUT, HOLDER, HolderFactory, connect, processes_naming, sockets_of


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder every user can walk into; pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="fg-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def copy_checkout(target: Path) -> None:
    """What a holder needs: our package and the two wheels."""
    shutil.copytree(CHECKOUT / "local", target / "local", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HOLDER, target / "holder.py")
    for package in (programs.POSTGRES_WHEEL, programs.VALKEY_WHEEL):
        source = programs._wheel_folder(package)
        assert source is not None
        shutil.copytree(source, target / package)
        libraries = source.with_name(f"{package}.libs")
        if libraries.exists():
            shutil.copytree(libraries, target / libraries.name)


def python_for(account: Account) -> str:
    """A Python that the account can run: ours may lie in root's home."""
    ours = Path(sys.executable).resolve()
    choices = [path for path in (ours, Path("/usr/bin/python3"), Path("/usr/local/bin/python3")) if path.exists()]
    return next(str(path) for path in choices if can_reach(path.resolve(), account))


if os.geteuid() == 0:

    async def test_root_with_checkout_and_data_in_a_closed_folder(
        tmp_path: Path, open_folder: Path, start_holder: HolderFactory
    ) -> None:
        checkout = tmp_path / "closed"
        checkout.mkdir(mode=0o700)
        copy_checkout(checkout)
        cache = open_folder / "cache"
        for _ in range(2):  # the second start finds the copy
            holder = start_holder(checkout / ".data", import_from=checkout, cache=cache)
            urls = holder.urls()
            connection = await connect(urls)
            await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            await connection.close()
            server = next(pid for pid in processes_naming(str(sockets_of(urls))) if _program(pid).name == "postgres")
            assert cache in _program(server).parents
            assert Path(f"/proc/{server}").stat().st_uid == next((checkout / ".data").glob("pg*")).stat().st_uid != 0
            assert holder.end() == 0
        assert len(list(cache.iterdir())) == 1

    def test_a_cache_that_another_user_could_write_is_refused(
        tmp_path: Path, open_folder: Path, start_holder: HolderFactory
    ) -> None:
        copy_checkout(tmp_path / "closed")
        cache = open_folder / "cache"
        cache.mkdir()
        cache.chmod(0o777)
        holder = start_holder(tmp_path / "data", import_from=tmp_path / "closed", cache=cache)
        said, _ = holder.process.communicate()
        assert (holder.process.returncode, said.startswith(f"{cache} is not a folder of root's alone")) == (1, True)

    async def test_an_ordinary_user(open_folder: Path, start_holder: HolderFactory) -> None:
        nobody = pwd.getpwnam("nobody")
        copy_checkout(open_folder / "checkout")
        home = open_folder / "home"
        home.mkdir()
        os.chown(home, nobody.pw_uid, nobody.pw_uid)
        python = python_for(Account(nobody.pw_uid, nobody.pw_gid))
        holder = start_holder(home / ".data", python=python, import_from=open_folder / "checkout", uid=nobody.pw_uid)
        urls = holder.urls()
        connection = await connect(urls)
        await connection.close()
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in processes_naming(str(sockets_of(urls)))} == {
            nobody.pw_uid
        }
        assert holder.end() == 0

    async def test_root_works_on_in_the_folder_of_an_ordinary_user(
        open_folder: Path, start_holder: HolderFactory
    ) -> None:
        nobody = pwd.getpwnam("nobody")
        home = open_folder / "home"
        home.mkdir()
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        holder = start_holder(home)
        holder.urls()
        assert next(home.glob("pg*")).stat().st_uid == nobody.pw_uid
        assert holder.end() == 0


def test_reach_is_read_from_every_folder_on_the_way(open_folder: Path) -> None:
    stranger = Account(54321, 54321)
    inner = open_folder / "inner"
    inner.mkdir(mode=0o755)
    assert can_reach(inner, stranger)
    open_folder.chmod(0o700)
    assert not can_reach(inner, stranger)
    assert can_reach(inner, None)


def _program(pid: int) -> Path:
    return Path(f"/proc/{pid}/exe").readlink()
