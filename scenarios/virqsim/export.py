"""A run's trace, and its numbers, in other programs' formats."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from . import perfetto, results, stats, vcd
from . import trace as vqt
from .profiles import marked_by
from .tracepoints import text, tracedat


def export(run_dir, to, out=None):
    """Writes the run's trace or its numbers in the format `to`; gives the path of the file written."""
    if to not in FORMATS:
        raise ValueError(f"export: {to!r} is not a format ({', '.join(FORMATS)})")
    if to in stats.FORMATS:
        name, write = to, partial(stats.FORMATS[to], results.load(run_dir))
    else:
        name, write = f"trace{WRITERS[to][0]}", partial(_write_trace, Path(run_dir), WRITERS[to][1])
    out = Path(out) if out else Path(run_dir) / name
    if out.is_dir():
        out /= name
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(out.name + ".part")
    try:
        write(temporary)
        return temporary.rename(out)
    finally:
        temporary.unlink(missing_ok=True)


def _write_trace(run_dir, write, path):
    source = run_dir / "trace.vqt"
    if not source.exists():
        raise ValueError(f"export: {source}: no such trace (`virqsim run --trace` keeps one)")
    write(vqt.read(source), path, _plan(run_dir))


def frame(trace):
    """The records as a table: names instead of numbers, and the payload in words beside it."""
    r = trace.records
    pairs = zip(r["event"].tolist(), r["a"].tolist(), r["b"].tolist())
    cache = {}
    words = [cache[p] if p in cache else cache.setdefault(p, trace.words(*p)) for p in pairs]
    return pd.DataFrame(
        {
            "ps": r["ps"],
            "flow": r["flow"],
            "event": pd.Categorical.from_codes(r["event"].astype(np.int32), trace.events),
            "vcpu": pd.array(r["where"].astype(np.int32), dtype="Int32").astype("Int32"),
            "a": r["a"],
            "b": r["b"],
            "words": words,
        }
    ).assign(vcpu=lambda t: t["vcpu"].mask(t["vcpu"] == vqt.NOWHERE))


def _plan(run_dir):
    """The run folder's plan; None where only its trace is there."""
    path = run_dir / "plan.json"
    try:
        return json.loads(path.read_text()) if path.exists() else None
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON: {error}") from None


WRITERS = {  # format: ending, and what writes it: (trace, path, plan or None)
    "perfetto": (".json", perfetto.write),
    "ftrace": (".txt", text.write),
    "trace.dat": (".dat", tracedat.write),
    "vcd": (".vcd", vcd.write),
    "csv": (".csv", lambda trace, path, plan: marked_by(frame(trace), plan).to_csv(path, index=False)),
    "parquet": (".parquet", lambda trace, path, plan: marked_by(frame(trace), plan).to_parquet(path, index=False)),
}
FORMATS = [*WRITERS, *stats.FORMATS]
