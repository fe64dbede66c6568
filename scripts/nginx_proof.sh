#!/usr/bin/env bash
# What clients hear through a real nginx (Debian's package, its default settings) before two replicas: refusals, tables that are
# cut, events, links behind a prefix.
#
#   scripts/nginx_proof.sh [--program target/release/mcvn] [--models models]
#
# nginx runs as a process of its own in a temporary folder. Where it is missing root installs it; where it cannot be
# installed nothing is proved, which is said loudly, and the exit status is 0.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
find_nginx() { PATH=$PATH:/usr/sbin command -v nginx; }
if ! find_nginx >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        # Debian starts it when it is installed, unless it is told not to.
        policy=
        if [ ! -e /usr/sbin/policy-rc.d ]; then
            policy=/usr/sbin/policy-rc.d
            printf '#!/bin/sh\nexit 101\n' >$policy
            chmod +x $policy
        fi
        (apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends nginx) >&2 || true
        [ -z "$policy" ] || rm -f "$policy"
    fi
fi
if ! nginx=$(find_nginx); then
    echo "SKIPPED: nginx is not here and could not be installed: NOTHING was proved about proxies" >&2
    exit 0
fi
command -v curl >/dev/null || { echo "SKIPPED: curl is missing: NOTHING was proved about proxies" >&2; exit 0; }
exec python3 "$here/nginx_proof.py" --nginx "$nginx" "$@"
