"""The embedded stores of one process: what they answer, what they keep, what they say when they cannot start."""

import json
import os
import stat
from pathlib import Path

import pytest
from redis.asyncio import Redis

from local import LocalStoreError, LocalStores, running_stores
from tests.local_stores.conftest import connect, processes_naming, sockets_of


async def test_both_answer_on_private_sockets_and_end_with_the_context(tmp_path: Path) -> None:
    said: list[str] = []
    with LocalStores(tmp_path, durable=False, on_progress=said.append) as urls:
        connection = await connect(urls)
        await connection.execute("CREATE EXTENSION pg_trgm")
        assert await connection.fetchval("SELECT similarity('word', 'words') > 0.5")
        assert await connection.fetchval("SELECT lower('ÄÖ')") == "äö"
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        assert await connection.fetchval("SHOW listen_addresses") == ""
        assert await connection.fetchval("SELECT current_user || ' ' || current_database()") == "fleetgraph fleetgraph"
        assert not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        await connection.close()
        redis = Redis.from_url(urls.redis_url)
        assert await redis.ping()
        assert (await redis.config_get("port"))["port"] == "0"
        await redis.aclose()
        sockets = sockets_of(urls)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert len(os.fsencode(sockets / ".s.PGSQL.5432")) <= 107
    assert processes_naming(str(sockets)) == []
    assert not sockets.exists()
    assert [line.split()[0] for line in said] == ["Making", "Starting"]


async def test_data_are_kept_and_the_next_start_is_durable(tmp_path: Path) -> None:
    with LocalStores(tmp_path, valkey=False, durable=False) as urls:
        assert urls.redis_url == ""
        connection = await connect(urls)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS answer")
        await connection.close()
    with LocalStores(tmp_path, valkey=False) as urls:
        connection = await connect(urls)
        assert await connection.fetchval("SELECT answer FROM kept") == 7
        settings = await connection.fetch(
            "SELECT setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
        )
        assert [row["setting"] for row in settings] == ["on", "on", "on"]
        await connection.close()


async def test_valkey_alone(tmp_path: Path) -> None:
    with LocalStores(tmp_path, postgres=False) as urls:
        assert urls.database_url == ""
        redis = Redis.from_url(urls.redis_url)
        assert await redis.ping()
        await redis.aclose()
    assert not list(tmp_path.glob("pg*"))


def test_a_broken_data_folder_shows_the_end_of_the_log_and_leaves_nothing(tmp_path: Path) -> None:
    with LocalStores(tmp_path, durable=False):
        pass
    next(tmp_path.glob("pg*/global/pg_control")).unlink()
    with pytest.raises(LocalStoreError, match=r"PostgreSQL ended with code .*pg_control.*postgres\.log"):
        LocalStores(tmp_path, durable=False).__enter__()
    sockets = json.loads((tmp_path / "stores.json").read_text())["sockets"]
    assert not Path(sockets).exists()
    assert processes_naming(sockets) == []
    assert running_stores(tmp_path) is None


def test_rubbish_of_a_first_start_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    with LocalStores(tmp_path, valkey=False, durable=False):
        data = next(tmp_path.glob("pg*"))
    left = data.with_name(f"{data.name}.new")
    data.rename(left)
    (left / "PG_VERSION").unlink()
    with LocalStores(tmp_path, valkey=False, durable=False):
        assert (data / "PG_VERSION").exists()
        assert not left.exists()
