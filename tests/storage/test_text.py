"""Text from outside becomes text that can be stored."""

from hypothesis import given
from hypothesis import strategies as st

from domain.text import MAX_LINE_BYTES, MAX_TITLE, clean, log_text, title_line


def test_nul_and_lone_surrogates_are_replaced() -> None:
    assert clean("a\x00b\ud83dc\udc00") == "a\ufffdb\ufffdc\ufffd"
    assert clean("a😀\tb\n") == "a😀\tb\n"


@given(st.text(st.characters(exclude_categories=())))
def test_cleaned_text_is_utf_8_without_nul(text: str) -> None:
    assert b"\x00" not in clean(text).encode()


@given(st.text(st.sampled_from(["a", "é", "€", "😀", "\x00"]), min_size=1), st.integers(1, 70_000))
def test_a_line_is_cut_between_characters(piece: str, times: int) -> None:
    whole = (piece * times)[:70_000]
    text, truncated = log_text(whole)
    assert text is not None
    assert len(text.encode()) <= MAX_LINE_BYTES
    assert clean(whole).startswith(text)
    assert truncated == (text != clean(whole))
    assert not truncated or len(text.encode()) > MAX_LINE_BYTES - 4


def test_a_title_is_one_line_of_at_most_300_characters() -> None:
    assert title_line(" Fix\n\n the\tbug ") == "Fix the bug"
    assert title_line(" \n ") is None
    assert title_line(None) is None
    long = title_line("word " * 1000)
    assert long is not None
    assert len(long) <= MAX_TITLE
    assert long.endswith("…")
    assert title_line("x" * MAX_TITLE) == "x" * MAX_TITLE
