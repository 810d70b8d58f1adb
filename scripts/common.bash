# What the doors share: steps that say what they do, and stamps that skip what is done.
# Source it after `set -eu`; it moves to the project's root.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
stamps=$root/.stamps
log=$root/build/setup.log
if [ ! -w . ]; then
    echo "$root: you may not write here; take a clone of your own" >&2
    exit 1
fi
mkdir -p "$stamps" build

# Counts seconds on a terminal, as long as this script lives.
tick() {
    seconds=0
    while sleep 1 && kill -0 $$ 2>/dev/null; do
        seconds=$((seconds + 1))
        printf '\r%6d s' "$seconds" >&2
    done
}

tick_off() {
    [ -n "$ticker" ] || return 0
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    printf '\r\033[K' >&2
}

# Runs a command with its output in the log; on failure shows the log's end.
logged() {
    printf '\n$ %s\n' "$*" >>"$log"
    ticker=
    [ ! -t 2 ] || { tick & ticker=$!; }
    if "$@" >>"$log" 2>&1 </dev/null; then
        tick_off
    else
        tick_off
        echo "failed: $*" >&2
        echo "--- the end of ${log#"$root"/} ---" >&2
        tail -n 30 "$log" >&2
        exit 1
    fi
}

# One hash over this folder's path and the names and contents of files and folders.
hash_of() {
    {
        printf '%s\n' "$root"
        find "$@" -type f -not -path '*/__pycache__/*' -print0 2>/dev/null | sort -zu | xargs -0r sha256sum
    } | sha256sum | cut -d' ' -f1
}

# fresh NAME HASH: was the step done with these very inputs?
fresh() {
    [ "$(cat "$stamps/$1" 2>/dev/null)" = "$2" ]
}

stamp() {
    printf '%s\n' "$2" >"$stamps/$1"
}
