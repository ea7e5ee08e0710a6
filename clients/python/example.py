"""Lists the newest tasks with what they cost, then follows every change. Usage, after `make clients`:

FLEETGRAPH_TOKEN=$(fleetgraph token) clients/python/.venv/bin/python clients/python/example.py
"""

import asyncio
import os

from fleetgraph_client import FleetgraphClient
from fleetgraph_client.task_changes import TaskChangesTaskChangedTaskChanged as Changed

URL = os.environ.get("FLEETGRAPH_URL", "http://127.0.0.1:5000/graphql")
HEADERS = {"Authorization": f"Bearer {os.environ.get('FLEETGRAPH_TOKEN', '')}"}


async def main() -> None:
    client = FleetgraphClient(
        URL, headers=HEADERS, ws_url=URL.replace("http", "ws", 1), ws_connection_init_payload=HEADERS
    )
    async with client:
        board = await client.task_board(first=10)
        for task in board.tasks.nodes:
            print(task.status.value, f"${task.usage.cost_usd:.4f}", task.title, task.created_at.isoformat(), flush=True)
        async for change in client.task_changes():
            event = change.task_changed
            if isinstance(event, Changed) and event.task:
                news, now = "new" if event.is_new else "changed", event.task
                print(news, now.status.value, f"${now.usage.cost_usd:.4f}", now.title, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
