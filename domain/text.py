"""Text from outside, made fit to be stored and shown. Says nothing of who may see it."""

from __future__ import annotations

import re
from hashlib import sha256

REPLACEMENT = "\ufffd"
MAX_LINE_BYTES = 64 * 1024  # a line is sent whole to every watcher
MAX_TITLE = 300  # characters
MAX_NAME = 200  # characters: three of them in UTF-8 fit an index entry (2,704 bytes)

# PostgreSQL takes no NUL, UTF-8 no surrogate; both come in transcripts that were cut or hold a program's raw output.
_UNFIT = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """The text with NUL and lone surrogates as U+FFFD."""
    # Nearly every text is fit, and an import asks of megabytes: both looks are a hundred and four times as fast.
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return _UNFIT.sub(REPLACEMENT, text)
    return text.replace("\x00", REPLACEMENT) if "\x00" in text else text


def clean_or_none(text: str | None) -> str | None:
    """`clean`, for what may be unknown."""
    return None if text is None else clean(text)


def name(text: str) -> str:
    """What something is found by: clean, and short enough for an index entry.

    A longer one keeps its beginning and ends in a hash of the whole, so that two of them stay two.
    """
    fit = clean(text)
    if len(fit) <= MAX_NAME:
        return fit
    return fit[: MAX_NAME - 33] + "…" + sha256(fit.encode()).hexdigest()[:32]


def name_or_none(text: str | None) -> str | None:
    """`name`, for what may be unknown."""
    return None if text is None else name(text)


def title_line(text: str | None) -> str | None:
    """One line of at most 300 characters; None when there is nothing to read."""
    if text is None:
        return None
    # Twenty times what is kept is enough to find it: a prompt may be megabytes.
    line = " ".join(clean(text[: MAX_TITLE * 20]).split())
    return (line if len(line) <= MAX_TITLE else line[: MAX_TITLE - 1].rstrip() + "…") or None


def log_text(text: str | None) -> tuple[str | None, bool]:
    """A log line's text, cut at 64 KiB of UTF-8 between characters, and whether it was cut."""
    if text is None:
        return None, False
    cleaned = clean(text)
    if len(cleaned) * 4 <= MAX_LINE_BYTES:
        return cleaned, False
    encoded = cleaned.encode()
    if len(encoded) <= MAX_LINE_BYTES:
        return cleaned, False
    return encoded[:MAX_LINE_BYTES].decode(errors="ignore"), True
