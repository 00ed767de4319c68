#!/usr/bin/env bash
# Installs RabbitMQ where it is missing and this user may; otherwise says what to type, and lets the caller go on.
# Sagas run a private node of it as the user who starts them, so its own service is neither started nor enabled.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }

# Where `sagas dev` looks: Debian's wrapper on the PATH lets only root in, and so does not count.
is_installed() {
    local found
    for found in {/usr/lib/rabbitmq/bin,/opt/homebrew/sbin,/usr/local/sbin}/rabbitmq-server; do
        [[ -x $found ]] && return
    done
    found=$(type -P rabbitmq-server) && [[ $(readlink -f "$found") != */rabbitmq-script-wrapper ]]
}

go_without() {
    say "setup: RabbitMQ is missing$1, so what needs a broker cannot run.
  On Debian or Ubuntu type:  sudo apt-get install rabbitmq-server
  On macOS type:             brew install rabbitmq
  If you have a broker:      export SAGAS_AMQP_URL=amqps://user:password@host/vhost"
    exit 0
}

[[ -n ${SAGAS_AMQP_URL:-} ]] && exit 0
is_installed && exit 0

as_root=()
if [[ $EUID -ne 0 ]]; then as_root=(sudo -n); fi
command -v apt-get >/dev/null && ${as_root[@]+"${as_root[@]}"} true 2>/dev/null || go_without ""

# A package of Debian starts its service when it is installed, unless this file says no. The one that is
# there already, as in containers, is left alone.
readonly policy=/usr/sbin/policy-rc.d
forbid_services() {
    [[ -e $policy ]] && return
    trap '${as_root[@]+"${as_root[@]}"} rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | ${as_root[@]+"${as_root[@]}"} tee "$policy" >/dev/null
    ${as_root[@]+"${as_root[@]}"} chmod 755 "$policy"
}

# What was there before stays as it is: only services that come with this package are kept from the next boot.
disable_services() {
    [[ -d /run/systemd/system ]] || return 0
    ${as_root[@]+"${as_root[@]}"} systemctl --quiet disable rabbitmq-server.service || true
    [[ -n $had_epmd ]] || ${as_root[@]+"${as_root[@]}"} systemctl --quiet disable epmd.service epmd.socket || true
}

install() {
    ${as_root[@]+"${as_root[@]}"} apt-get update -qq >&2 &&
        ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends rabbitmq-server >&2
}

# Two targets at once must not both install; flock is on every Linux.
mkdir -p .setup
exec 9>.setup/rabbitmq.mutex
if command -v flock >/dev/null; then flock 9; fi
is_installed && exit 0

say "setup: installing rabbitmq-server through apt-get, for a private node; its service is not started"
had_epmd=$(type -P epmd || true)
forbid_services
# Somebody else on this machine may be at it too: apt-get then fails, or finds the package installed.
for attempt in 1 2 3; do
    if install || is_installed; then break; fi
    say "setup: apt-get failed (attempt $attempt of 3)"
    sleep 3
done
disable_services
is_installed || go_without ", and apt-get could not install it"
