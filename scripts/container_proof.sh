#!/usr/bin/env bash
# Builds an image from the Dockerfile where no Docker engine runs, and runs it as an operator would: read-only root,
# a numeric user, nowhere to write. For machines without access to an image registry too: the bases come from Debian's
# archive and the Rust toolchain from this machine, through the Dockerfile's own ARGs.
#
#   scripts/container_proof.sh [TARGET [WORK]]     TARGET: cpu (default) or cuda; WORK: a folder for images and bases
#
# Needs root, Debian, cargo, and some 10 GB. CARGO_CONFIG, if set, names a cargo configuration that the build shall use;
# STORAGE_DRIVER=vfs is for file systems that cannot overlay, and takes several times the space.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-cpu}
work=$(realpath -m "${2:-target/container-proof}")
mkdir -p "$work"
step() { printf '\n=== %s\n' "$1"; }

missing=()
for tool in buildah debootstrap jq curl; do command -v "$tool" >/dev/null || missing+=("$tool"); done
command -v ip >/dev/null || missing+=(iproute2)
if [ ${#missing[@]} -gt 0 ]; then
    apt-get update -q && apt-get install -qy --no-install-recommends "${missing[@]}"
fi
export BUILDAH_ISOLATION=chroot
storage=(--storage-driver "${STORAGE_DRIVER:-overlay}" --root "$work/storage" --runroot "$work/run")

has() { buildah "${storage[@]}" images -q "$1" >/dev/null 2>&1; }
# The image NAME from the rootfs FOLDER; further arguments are settings of `buildah config`.
import() {
    local name=$1 folder=$2 container
    shift 2
    container=$(buildah "${storage[@]}" from scratch)
    buildah "${storage[@]}" copy -q "$container" "$folder" / >/dev/null
    buildah "${storage[@]}" config "$@" "$container"
    buildah "${storage[@]}" commit -q --rm "$container" "$name" >/dev/null
}

if ! has localhost/proof-debian; then
    step "base: Debian, by debootstrap"
    rm -rf "$work/debian"
    debootstrap --variant=minbase bookworm "$work/debian" >"$work/debootstrap.log"
    rm -rf "$work"/debian/var/cache/apt/archives/*.deb
    import localhost/proof-debian "$work/debian" --cmd bash
fi
if ! has localhost/proof-rust; then
    step "base: the same, with a C compiler and this machine's Rust"
    cp /etc/resolv.conf "$work/debian/etc/resolv.conf"
    chroot "$work/debian" apt-get -qq update
    chroot "$work/debian" apt-get -qy --no-install-recommends install gcc libc6-dev ca-certificates >"$work/apt.log" 2>&1
    mkdir -p "$work/debian/usr/local/rust" "$work/debian/usr/local/cargo"
    cp -a "$(rustc --print sysroot)"/{bin,lib} "$work/debian/usr/local/rust/"
    import localhost/proof-rust "$work/debian" --env CARGO_HOME=/usr/local/cargo \
        --env PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    rm -rf "$work/debian"
fi

step "build of the target $target"
# What the build reaches the network with: this machine's certificates, and its cargo configuration if one is named.
volumes=(--volume "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}:/etc/ssl/certs/ca-certificates.crt:ro")
[ -z "${CARGO_CONFIG:-}" ] || volumes+=(--volume "$(realpath "$CARGO_CONFIG"):/usr/local/cargo/config.toml:ro")
buildah "${storage[@]}" build --layers --format docker --pull-never --network host "${volumes[@]}" \
    --build-arg RUST_IMAGE=localhost/proof-rust --build-arg CPU_IMAGE=localhost/proof-debian \
    --build-arg CUDA_IMAGE=localhost/proof-debian --target "$target" --tag "localhost/mcvn:$target" .

step "the image"
buildah "${storage[@]}" inspect --type image "localhost/mcvn:$target" >"$work/image.json"
jq '.Docker.config | {User, Env, ExposedPorts, Volumes, Healthcheck, Entrypoint, Cmd, WorkingDir}' "$work/image.json"
container=$(buildah "${storage[@]}" from --pull-never "localhost/mcvn:$target")
trap 'buildah "${storage[@]}" rm "$container" >/dev/null' EXIT
root=$(buildah "${storage[@]}" mount "$container")
du -sh "$root/usr/local/bin/mcvn" "$root/models"
mapfile -t environment < <(jq -r '.Docker.config.Env[]' "$work/image.json")
user=$(jq -r '.Docker.config.User' "$work/image.json")

step "run: read-only root, user $user, nowhere to write, a network of its own"
inner=$(mktemp)
cat >"$inner" <<'INNER'
set -euo pipefail
root=$1 user=$2
shift 2
log=$0.log
ip link set lo up
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
environment=(PATH=/usr/local/bin:/usr/bin:/bin "$@")
enter() { exec chroot --userspec="$user" "$root" /usr/bin/env -i "${environment[@]}" "$@"; }
inside() { (enter "$@"); }
inside sh -c 'id; if touch /var/lib/mcvn/x /tmp/x 2>/dev/null; then echo "can write" >&2; exit 1; fi'
if inside mcvn healthcheck; then echo "healthy without a server" >&2; exit 1; fi
enter mcvn serve &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
for _ in $(seq 200); do
    inside mcvn healthcheck 2>/dev/null && break
    kill -0 $server
    sleep 0.1
done
inside mcvn healthcheck
echo "healthcheck: ready"
curl -sf http://127.0.0.1:8080/classify/glass -H 'content-type: application/json' \
    -d '{"composition": "Zr41.2Ti13.8Cu12.5Ni10Be22.5"}'
echo
grep -E 'VmHWM|Threads' "/proc/$server/status"
kill -TERM $server
wait $server
echo "stopped with exit status 0"

# With keys, the volume and /tmp: rows become a promoted model.
mount --rbind /proc "$root/proc" # as every container engine does: a job is started by way of /proc/self/exe
mount -t tmpfs -o mode=1777 none "$root/tmp"
mount -t tmpfs -o "mode=755,uid=${user%:*},gid=${user#*:}" none "$root/var/lib/mcvn"
inside mkdir /var/lib/mcvn/models /var/lib/mcvn/state
keys=/var/lib/mcvn/keys.toml
key=$(inside mcvn admin-key create --keys-file $keys --name proof --scopes read,train,promote)
environment+=(MCVN_ADMIN_KEYS_FILE=$keys MCVN_ADMIN_LISTEN=0.0.0.0:9090)
enter mcvn serve 2>"$log" &
server=$!
until inside mcvn healthcheck >/dev/null 2>&1; do kill -0 $server; sleep 0.1; done
admin() { curl -sf "http://127.0.0.1:9090/admin/$1" -H "Authorization: Bearer $key" "${@:2}"; }
admin models -H 'content-type: application/toml' --data-binary @examples/steel-lab42/recipe.toml >/dev/null
admin jobs -F 'options={"model":"steel-lab42"}' -F data=@examples/steel-lab42/measurements.csv >/dev/null
admin jobs/1/events -N | grep -oE '^event: .*' | uniq -c
version=$(admin jobs/1 | grep -oE '"version":"[0-9a-f]+"' | head -1 | cut -d'"' -f4)
admin "models/steel-lab42/versions/$version/promote" -X POST
echo
kill -TERM $server
wait $server
echo "a job's candidate was promoted in the container"
INNER
unshare --mount --net --propagation private bash "$inner" "$root" "$user" "${environment[@]}"
rm -f "$inner" "$inner.log"
