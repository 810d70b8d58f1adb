"""A run's trace in other programs' formats."""

from pathlib import Path

import numpy as np
import pandas as pd

from . import ftrace, perfetto, vcd
from . import trace as vqt


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
        write(vqt.read(source), temporary)
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


WRITERS = {
    "perfetto": (".json", perfetto.write),
    "ftrace": (".txt", ftrace.write),
    "vcd": (".vcd", vcd.write),
    "csv": (".csv", lambda trace, path: frame(trace).to_csv(path, index=False)),
    "parquet": (".parquet", lambda trace, path: frame(trace).to_parquet(path, index=False)),
}
