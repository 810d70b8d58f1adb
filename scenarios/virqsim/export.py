"""A run's trace in other programs' formats."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from . import perfetto, vcd
from . import trace as vqt
from .tracepoints import text, tracedat


def export(run_dir, to, out=None):
    """Writes `run_dir`'s trace in the format `to`; gives the path of the file written."""
    if to not in WRITERS:
        raise ValueError(f"export: {to!r} is not a format ({', '.join(WRITERS)})")
    suffix, write = WRITERS[to]
    source = Path(run_dir) / "trace.vqt"
    if not source.exists():
        raise ValueError(f"export: {source}: no such trace (`virqsim run --trace` keeps one)")
    out = Path(out) if out else Path(run_dir) / f"trace{suffix}"
    if out.is_dir():
        out /= f"trace{suffix}"
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(out.name + ".part")
    try:
        write(vqt.read(source), temporary, _plan(run_dir))
        return temporary.rename(out)
    finally:
        temporary.unlink(missing_ok=True)


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
    path = Path(run_dir) / "plan.json"
    try:
        return json.loads(path.read_text()) if path.exists() else None
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON: {error}") from None


WRITERS = {  # format: ending, and what writes it: (trace, path, plan or None)
    "perfetto": (".json", lambda trace, path, plan: perfetto.write(trace, path)),
    "ftrace": (".txt", text.write),
    "trace.dat": (".dat", tracedat.write),
    "vcd": (".vcd", lambda trace, path, plan: vcd.write(trace, path)),
    "csv": (".csv", lambda trace, path, plan: frame(trace).to_csv(path, index=False)),
    "parquet": (".parquet", lambda trace, path, plan: frame(trace).to_parquet(path, index=False)),
}
