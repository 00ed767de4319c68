#!/usr/bin/env bash
# Installs RabbitMQ where it is missing and apt-get can be used; otherwise prints the command to type, and succeeds.
# On a terminal, asks before installing. YES=1 and CI=true answer yes, YES=0 answers no. Without a terminal, typing a
# target of make that needs RabbitMQ is the answer.
# Sagas run a private node as the current user: the service of the package is neither started nor enabled.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source deploy/phase.sh

# Debian's wrapper on the PATH does not count: only root and the user rabbitmq can run the wrapper.
is_installed() {
    local found
    for found in {/usr/lib/rabbitmq/bin,/opt/homebrew/sbin,/usr/local/sbin}/rabbitmq-server; do
        [[ -x $found ]] && return
    done
    found=$(type -P rabbitmq-server) && [[ $(readlink -f "$found") != */rabbitmq-script-wrapper ]]
}

go_without() {
    say "RabbitMQ is missing$1; choreography and its tests need a broker.
  On Debian or Ubuntu type:  sudo apt-get install rabbitmq-server
  On macOS type:             brew install rabbitmq
  For an existing broker:    export SAGAS_AMQP_URL=amqps://user:password@host/vhost"
    exit 0
}

may_install() {
    local answer
    case ${YES:-${CI:-}} in
        1 | true) return 0 ;;
        0) return 1 ;;
    esac
    [[ -t 0 ]] || return 0
    say "RabbitMQ is missing; choreography needs a broker, orchestration does not."
    read -r -p "setup: install the package rabbitmq-server with apt-get? [Y/n] " answer || return 1
    [[ ${answer,,} =~ ^(y|yes)?$ ]]
}

[[ -n ${SAGAS_AMQP_URL:-} ]] && exit 0
is_installed && exit 0
can_use_apt || go_without ""
may_install || go_without ", and is not installed without your consent"

# Packages of Debian start their service during the installation, unless this file forbids starting. An existing
# file, as in containers, is left alone.
readonly policy=/usr/sbin/policy-rc.d
forbid_services() {
    [[ -e $policy ]] && return
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

# Only services that come with this installation are disabled: a service that existed before stays as it is.
disable_services() {
    [[ -d /run/systemd/system ]] || return 0
    as_root systemctl --quiet disable rabbitmq-server.service || true
    [[ -n $had_epmd ]] || as_root systemctl --quiet disable epmd.service epmd.socket || true
}

# Another process may hold apt's lock: apt-get then fails, or finds the package installed.
install() {
    local attempt
    for attempt in 1 2 3; do
        if apt_install rabbitmq-server || is_installed; then
            disable_services
            return
        fi
        sleep 3
    done
    return 1
}

# Two targets of make at once must not both install; flock is on every Linux.
mkdir -p .setup
exec 9>.setup/rabbitmq.mutex
if command -v flock >/dev/null; then flock 9; fi
is_installed && exit 0

had_epmd=$(type -P epmd || true)
forbid_services
phase "RabbitMQ" install || true
is_installed || go_without ", and apt-get could not install it"
