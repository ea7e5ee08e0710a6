"""What can go wrong here, each as one line that a person can act on.

LocalStoreError > AlreadyRunning
"""


class LocalStoreError(Exception):
    """The embedded stores cannot be started or used; the text says what to do."""


class AlreadyRunning(LocalStoreError):
    """Another process holds the data folder; `url` and `pid` say where, as far as it has announced them."""

    def __init__(self, message: str, *, url: str | None, pid: int | None) -> None:
        super().__init__(message)
        self.url = url
        self.pid = pid


def reason(error: OSError) -> str:
    """Why a folder, or a file in it, cannot be used, in words."""
    is_file = isinstance(error, FileExistsError | NotADirectoryError)
    return "that is not a folder" if is_file else error.strerror or str(error)
