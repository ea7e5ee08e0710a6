"""A parent of embedded stores in a process of its own: `holder.py FOLDER [CACHE]`.

Prints its URLs as one line of JSON (or the LocalStoreError and exits with 1), then lives until its input ends.
It needs nothing but the standard library, so that any user and any Python can run it.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from local import DataFolder, LocalStoreError, LocalStores, programs


def main() -> int:
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        programs.CACHE = Path(sys.argv[2])
    try:
        with DataFolder(folder) as data_folder, LocalStores(folder, durable=False) as urls:
            data_folder.announce("http://127.0.0.1:5099/graphql")
            sys.stdout.write(json.dumps(asdict(urls)) + "\n")
            sys.stdout.flush()
            sys.stdin.read()
    except LocalStoreError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
