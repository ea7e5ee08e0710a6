"""Lines of files that grow."""

from pathlib import Path

import pytest

from ingest.lines import BLOCK_BYTES, fingerprint, read_chunks


def lines_of(path: Path, offset: int = 0, most: int = 100) -> tuple[list[bytes], bytes, int]:
    lines: list[bytes] = []
    rest, end = b"", offset
    for chunk in read_chunks(path, offset, most_lines=most):
        lines += chunk.lines
        rest, end = chunk.rest, chunk.end
    return lines, rest, end


@pytest.mark.parametrize("most", [1, 2, 100])
def test_lines_end_at_line_feeds_only(tmp_path: Path, most: int) -> None:
    path = tmp_path / "a"
    path.write_bytes("a\u2028b\r\n\nc".encode())
    assert lines_of(path, most=most) == (["a\u2028b\r".encode(), b""], b"c", 8)


def test_a_line_may_be_longer_than_a_block(tmp_path: Path) -> None:
    path = tmp_path / "a"
    long = b"x" * (2 * BLOCK_BYTES + 7)
    path.write_bytes(b"a\n" + long + b"\nb\n")
    assert lines_of(path) == ([b"a", long, b"b"], b"", len(long) + 5)


def test_reading_goes_on_from_an_offset(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one\ntwo\n")
    assert lines_of(path, 4) == ([b"two"], b"", 8)
    assert lines_of(path, 8) == ([], b"", 8)


def test_a_file_is_known_by_its_start_and_by_what_stood_before_the_offset(tmp_path: Path) -> None:
    def mark(data: bytes, offset: int) -> str:
        path = tmp_path / "a"
        path.write_bytes(data)
        with path.open("rb") as file:
            return fingerprint(file, offset)

    data = bytes(range(256)) * 20
    assert mark(data, 4000) == mark(data + b"more", 4000)
    assert mark(data, 4000) != mark(b"X" + data[1:], 4000)
    assert mark(data, 4000) != mark(data[:3999] + b"X" + data[4000:], 4000)
