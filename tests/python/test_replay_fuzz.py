"""Every reader of traces, on files that were cut, overwritten or shuffled: an answer or one line, never a crash.

The number of inputs is fixed, and so are they.
"""

import gzip
import random
import subprocess

import pytest
from replay_files import FORMS, TRACES
from virqsim import VirqsimError
from virqsim.replay import demand, reader, survey, unknown

INPUTS = 120  # a reader
TEXTS = {path.name: path.read_bytes() for path in sorted(FORMS.glob("*.txt"))}


def recording():
    """The beginning of a recording: whole lines, so that it is one."""
    text = gzip.decompress((TRACES / "on2_ppong.txt.gz").read_bytes())
    return b"\n".join(text.split(b"\n")[:400]) + b"\n"


def damaged(data, dice):
    """One damage out of those that files suffer."""
    data = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at, length = dice.randrange(len(data) + 1), dice.randrange(1, 40)
        kind = dice.randrange(7)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at:at + length] = dice.randbytes(length)
        elif kind == 2:
            del data[at:at + length]
        elif kind == 3:
            data[at:at] = data[at:at + length] * dice.randint(1, 50)
        elif kind == 4:
            data[at:at + 1] = dice.choice([b"\n", b"\0", b"[", b"]", b":", b"9" * 30, b"-", b"=", b"0x", b"\xff", b" reason "])
        elif kind == 5:
            lines = bytes(data).split(b"\n")
            dice.shuffle(lines)
            data = bytearray(b"\n".join(lines))
        else:
            data[at:at + length] = bytes(data[at:at + length]).upper()
    return bytes(data)


def one_line_or_an_answer(function, path):
    try:
        return function(path)
    except VirqsimError as error:
        assert str(error).startswith(str(path)), error
        assert "\n" not in str(error)
        return None


def replayable(path):
    """What `virqsim replay` does before it runs."""
    read = reader.read(path)
    taken = demand.extract(read)
    return unknown.find(read, taken)


@pytest.mark.parametrize("form", [*TEXTS, "recording"])
@pytest.mark.parametrize("function", [replayable, survey.survey])
def test_damaged_text(form, function, tmp_path):
    data, dice = TEXTS.get(form) or recording(), random.Random(form)
    for n in range(INPUTS if form != "recording" else INPUTS // 4):
        path = tmp_path / f"{n}.txt"
        path.write_bytes(damaged(data, dice))
        one_line_or_an_answer(function, path)


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_damaged_packed_files(pack, tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(recording())
    data, dice = subprocess.run([pack, "-qc", plain], stdout=subprocess.PIPE, check=True).stdout, random.Random(pack)
    for n in range(INPUTS):
        path = tmp_path / f"{n}.{pack}"
        path.write_bytes(damaged(data, dice))
        one_line_or_an_answer(survey.survey, path)


def test_damaged_trace_dat(tmp_path):
    dice = random.Random("trace.dat")
    for n in range(12):  # each is a process
        path = tmp_path / f"{n}.dat"
        path.write_bytes(b"\x17\x08\x44tracing7\0" + damaged(bytes(range(256)) * 8, dice))
        one_line_or_an_answer(survey.survey, path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x7fELF" + bytes(100), b"PERFILE2" + bytes(100), b"\x1f\x8b", b"\x28\xb5\x2f\xfd",
                                     b"{}", b"<html>"])
def test_wrong_files_are_one_line_and_status_2(virqsim, tmp_path, content):
    (tmp_path / "wrong").write_bytes(content)
    for options in ((), ("--survey",)):
        said = virqsim("replay", tmp_path / "wrong", *options)
        assert said.status == 2 and said.out == ""
        assert said.err.count("\n") == 1, said.err


def test_a_folder_is_one_line(virqsim, tmp_path):
    said = virqsim("replay", tmp_path)
    assert said.status == 2 and said.err.count("\n") == 1


@pytest.mark.parametrize("before, after", [("vcpu 0, rip", "vcpu 99999999999999999999, rip"), ("IRQ 0x31", "IRQ 0x131")])
def test_numbers_that_no_trace_has_are_refused(tmp_path, before, after):
    path = tmp_path / "t.txt"
    path.write_text(TEXTS["tracefs_5_flags.txt"].decode().replace(before, after))
    with pytest.raises(VirqsimError, match="cannot read"):
        reader.read(path)
