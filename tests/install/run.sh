#!/usr/bin/env bash
# Installs, upgrades, breaks and removes the gateway in bootstrapped Debian trees with systemd as PID 1:
#   sudo tests/install/run.sh [bookworm] [trixie]
# Needs debootstrap and systemd-container, a mirror of Debian, and a package index for pip; PIP_* variables
# and /etc/pip.conf are passed on, and so are the folders in TEST_INSTALL_BIND. Trees are kept in TREES.
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
trees=${TREES:-/var/tmp/gateway-trees}
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | head -n 1)}  # this machine's own
[ "$(id -u)" -eq 0 ] || {
  echo "run it as root" >&2
  exit 1
}
mkdir -p "$trees"

try() {
  local suite=$1 tree=$trees/$1 box=$trees/$1.run options=()
  if [ ! -e "$tree/.complete" ]; then
    rm -rf "$tree"
    debootstrap --variant=minbase \
      --include=systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates,procps \
      "$suite" "$tree" "$mirror" >"$trees/$suite.log" 2>&1
    touch "$tree/.complete"
  fi
  rm -rf "$box"
  cp -a "$tree" "$box"
  mkdir -p "$box/root/gateway"
  tar -C "$source_dir" --exclude=.git --exclude=.venv --exclude='__pycache__' -cf - . |
    tar -C "$box/root/gateway" -xf -
  if [ -e /etc/pip.conf ]; then cp /etc/pip.conf "$box/etc/pip.conf"; fi
  cp /etc/ssl/certs/ca-certificates.crt "$box/etc/ssl/certs/ca-certificates.crt"
  for folder in ${TEST_INSTALL_BIND:-}; do options+=("--bind-ro=$folder"); done
  compgen -e PIP_ | while read -r name; do printf '%s=%s\n' "$name" "${!name}"; done >"$box/root/environment"
  install -m 0644 "$source_dir/tests/install/gateway-test.service" "$box/etc/systemd/system/"
  ln -s ../gateway-test.service "$box/etc/systemd/system/multi-user.target.wants/"
  timeout 3600 systemd-nspawn --quiet --register=no --keep-unit --directory="$box" --boot \
    "${options[@]}" >"$trees/$suite.console" 2>&1 </dev/null || true
  cat "$box/root/result"
  tail -n 1 "$box/root/result" | grep -qx "all passed"
}

for suite in "${@:-bookworm}"; do
  echo "== $suite"
  try "$suite"
done
