# Sourced by the set-up scripts: one line on stderr for each phase, and the output of its commands in a log.

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# phase NAME COMMAND…: runs a command, prints the name and the seconds, and on failure the end of the log.
# The command must join its parts with &&: bash ignores `set -e` in a command whose exit code is tested.
phase() {
    local name=$1 started=$SECONDS status=0
    local log=.setup/${name// /-}.log
    shift
    printf 'setup: %s … ' "$name" >&2
    "$@" </dev/null >"$log" 2>&1 || status=$?
    if ((status)); then
        printf 'failed after %d s; the log %s ends with:\n' $((SECONDS - started)) "$log" >&2
        tail -n 15 "$log" | sed 's/^/  /' >&2
    else
        printf '%d s\n' $((SECONDS - started)) >&2
    fi
    return $status
}

# Whether apt-get can install packages: as root, or through sudo without a password.
can_use_apt() { command -v apt-get >/dev/null && as_root true 2>/dev/null; }

as_root() { if [[ $EUID -eq 0 ]]; then "$@"; else sudo -n "$@"; fi; }

apt_install() {
    as_root apt-get update &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -o DPkg::Lock::Timeout=300 --no-install-recommends "$@"
}
