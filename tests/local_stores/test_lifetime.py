"""One data folder over the lives of several parents: started twice, killed, restarted, with stale traces."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local import AlreadyRunning, DataFolder, LocalStoreError, LocalStores, running_stores
from local.process import start_child
from tests.local_stores.conftest import HolderFactory, connect, processes_naming, sockets_of, wait_until


async def test_a_second_start_says_where_the_first_is(tmp_path: Path, start_holder: HolderFactory) -> None:
    assert running_stores(tmp_path) is None
    holder = start_holder(tmp_path)
    urls = holder.urls()
    with pytest.raises(AlreadyRunning, match=rf"at http://127\.0\.0\.1:5099/graphql \(process {holder.process.pid}\)"):
        DataFolder(tmp_path).__enter__()
    assert running_stores(tmp_path) == urls
    second = start_holder(tmp_path)
    assert second.end() == 1
    connection = await connect(urls)
    await connection.close()
    assert holder.end() == 0
    assert running_stores(tmp_path) is None
    with DataFolder(tmp_path):
        pass


async def test_kill_9_of_the_parent_leaves_no_process_and_the_next_start_recovers(
    tmp_path: Path, start_holder: HolderFactory
) -> None:
    holder = start_holder(tmp_path)
    urls = holder.urls()
    sockets = str(sockets_of(urls))
    servers = processes_naming(sockets)
    assert len(servers) == 2
    assert os.getsid(holder.process.pid) not in {os.getsid(pid) for pid in servers}  # Ctrl-C does not reach them
    connection = await connect(urls)
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS answer")
    await connection.execute("BEGIN; INSERT INTO kept VALUES (8)")
    holder.kill()
    again = start_holder(tmp_path)  # at once: the old server may still be writing
    urls = again.urls()
    connection.terminate()
    assert wait_until(lambda: processes_naming(sockets) == [])
    assert not Path(sockets).exists()
    connection = await connect(urls)
    assert [row["answer"] for row in await connection.fetch("SELECT answer FROM kept")] == [7]
    await connection.close()
    assert again.end() == 0
    assert processes_naming(str(sockets_of(urls))) == []


def test_kill_9_during_the_first_start(tmp_path: Path, start_holder: HolderFactory) -> None:
    holder = start_holder(tmp_path)
    assert wait_until(lambda: any(tmp_path.glob("pg*.new/base")))
    holder.kill()
    sockets = json.loads((tmp_path / "stores.json").read_text())["sockets"]
    again = start_holder(tmp_path)
    again.urls()
    assert not Path(sockets).exists()
    assert again.end() == 0
    assert not list(tmp_path.glob("pg*.new"))


def test_a_stale_number_in_postmaster_pid_harms_nobody(tmp_path: Path) -> None:
    with LocalStores(tmp_path, valkey=False, durable=False):
        data = next(tmp_path.glob("pg*"))
        content = (data / "postmaster.pid").read_text()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        (data / "postmaster.pid").write_text(f"{bystander.pid}\n" + content.split("\n", 1)[1])
        with LocalStores(tmp_path, valkey=False, durable=False):
            assert bystander.poll() is None
        bystander.communicate()
        assert bystander.returncode == 1  # its own end: input() met the end of file


def test_a_data_folder_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalStoreError, match=r"cannot be used .*FLEETGRAPH_DATA_DIR"):
        DataFolder(tmp_path / "file").__enter__()


IN_FORK: list[signal.Signals] = []  # signals that come while a process forks


def _signal_in_fork() -> None:
    if IN_FORK:
        os.kill(os.getpid(), IN_FORK.pop())


os.register_at_fork(after_in_parent=_signal_in_fork)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_heard_while_a_child_is_started(how: signal.Signals) -> None:
    """Python drops what is raised in a hook of `fork`."""
    command = ["sleep", f"7{os.getpid()}"]
    before = signal.signal(how, signal.default_int_handler)
    IN_FORK.append(how)
    try:
        with pytest.raises(KeyboardInterrupt):
            start_child(command, output=subprocess.DEVNULL, death_signal=signal.SIGKILL)
        assert signal.getsignal(how) is signal.default_int_handler
    finally:
        signal.signal(how, before)
    assert processes_naming(command[1]) == []
