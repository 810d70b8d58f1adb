"""A trace's text in pieces, whatever it is packed in: plain, gzip, zstd, or trace-cmd's trace.dat.

Memory does not grow with the file. What cannot be unpacked, or is not text,
is one line that says so.
"""

from __future__ import annotations

import codecs
import tempfile
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import cffi

from ..errors import VirqsimError
from . import tracedat

_GZIP, _ZSTD, _PERF_DATA = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PERFILE2"
_PIECE = 1 << 20


def text(path: Path) -> Iterator[bytes]:
    """The text of a trace, in pieces of any length; the last ends as the file does.

    Raises:
        VirqsimError: it cannot be read, or is no text; the line names the file, and the line in it where there is one.
    """
    pieces = _unpacked(path)
    first = next(pieces, b"")
    while len(first) < len(tracedat.MAGIC) and (more := next(pieces, b"")):
        first += more
    if first.startswith(_PERF_DATA):
        raise VirqsimError(f"{path}: is a perf.data file; turn it into text: perf script -i FILE > FILE.txt")
    whole = chain([first], pieces)
    return _checked(path, _trace_dat(path, whole) if first.startswith(tracedat.MAGIC) else whole)


def _unpacked(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            pieces = iter(lambda: file.read(_PIECE), b"")
            if head.startswith(_GZIP):
                pieces = _gunzip(path, pieces)
            elif head == _ZSTD:
                pieces = _unzstd(path, pieces)
            yield from pieces
    except OSError as error:
        raise VirqsimError(f"{path}: {error.strerror or error}") from None


def _gunzip(path: Path, packed: Iterator[bytes]) -> Iterator[bytes]:
    """Members one behind the other, as `cat a.gz b.gz` makes them."""
    member = zlib.decompressobj(wbits=31)
    begun = False
    try:
        for piece in packed:
            while piece:
                unpacked = member.decompress(piece, _PIECE)
                begun = not member.eof
                yield unpacked
                piece = member.unused_data if member.eof else member.unconsumed_tail
                if member.eof:
                    member = zlib.decompressobj(wbits=31)
                    piece = piece.lstrip(b"\0")  # tapes pad with zeros
    except zlib.error as error:
        raise VirqsimError(f"{path}: the gzip file was cut short or is damaged: {error}") from None
    if begun:
        raise VirqsimError(f"{path}: the gzip file was cut short or is damaged: it ends before its end mark")


_ZSTD_H = """
    typedef struct { void *dst; size_t size, pos; } ZSTD_outBuffer;
    typedef struct { const void *src; size_t size, pos; } ZSTD_inBuffer;
    void *ZSTD_createDStream(void);
    size_t ZSTD_freeDStream(void *stream);
    size_t ZSTD_decompressStream(void *stream, ZSTD_outBuffer *out, ZSTD_inBuffer *in);
    unsigned ZSTD_isError(size_t code);
    const char *ZSTD_getErrorName(size_t code);
"""


def _unzstd(path: Path, packed: Iterator[bytes]) -> Iterator[bytes]:
    ffi = cffi.FFI()
    ffi.cdef(_ZSTD_H)
    try:
        lib: Any = ffi.dlopen("libzstd.so.1")
    except OSError:
        raise VirqsimError(f"{path}: is zstd's, and libzstd is not here; install libzstd1, or unpack it: "
                           "zstd -d FILE") from None
    stream = ffi.gc(lib.ZSTD_createDStream(), lib.ZSTD_freeDStream)
    space = ffi.new("char[]", _PIECE)
    left = 0
    for piece in packed:
        source = ffi.new("ZSTD_inBuffer *", {"src": ffi.from_buffer(piece), "size": len(piece), "pos": 0})
        full = True
        while source.pos < source.size or full:
            out = ffi.new("ZSTD_outBuffer *", {"dst": space, "size": _PIECE, "pos": 0})
            left = lib.ZSTD_decompressStream(stream, out, source)
            if lib.ZSTD_isError(left):
                said = ffi.string(lib.ZSTD_getErrorName(left)).decode()
                raise VirqsimError(f"{path}: the zstd file is damaged: {said}")
            full = out.pos == _PIECE
            yield bytes(ffi.buffer(space, out.pos))
    if left:
        raise VirqsimError(f"{path}: the zstd file was cut short: it ends before its end mark")


def _trace_dat(path: Path, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The library reads files only, and at any place in them: what was packed is put into one."""
    with tempfile.NamedTemporaryFile(suffix=".dat") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        yield from tracedat.report(path, Path(file.name))


def _checked(path: Path, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Text, and not nothing."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, blank, newline = 1, True, b"\n"
    for piece in pieces:
        try:
            decoder.decode(piece)
            bad = piece.find(b"\0")
        except UnicodeDecodeError as error:
            bad = max(error.start - 4, 0)
        if bad >= 0:
            raise VirqsimError(f"{path}:{line + piece.count(newline, 0, bad)}: binary data, not the text of a trace")
        line += piece.count(newline)
        blank = blank and not piece.strip()
        yield piece
    if blank:
        raise VirqsimError(f"{path}: is empty")
