#!/usr/bin/env bash
# Installs or upgrades the gateway on Raspberry Pi OS or Debian: user, venv, unit, configuration.
# Run it as root from a checkout: sudo deploy/pi/install.sh
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
prefix=/opt/gateway
config_dir=/etc/gateway
unit=/etc/systemd/system/gateway.service

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" -eq 0 ] || fail "run it as root: sudo $0"
python=$(command -v python3) || fail "python3 is missing: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || fail "Python 3.11 or newer is needed; this is $("$python" --version)"
"$python" -c 'import venv, ensurepip' 2>/dev/null \
  || fail "the venv module is missing: apt-get install python3-venv"

if ! getent passwd gateway >/dev/null; then
  useradd --system --user-group --home-dir /var/lib/gateway --no-create-home --shell /usr/sbin/nologin gateway
  say "made the user gateway"
fi

# The new environment is built beside the old one and takes its place whole.
new="$prefix/venv.new"
mkdir -p "$prefix/share"
rm -rf "$new"
"$python" -m venv "$new"
"$new/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$source_dir/requirements.txt"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
"$python" -m venv "$build/venv"
"$build/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$source_dir/requirements-build.txt"
cp -r "$source_dir/gateway" "$source_dir/pyproject.toml" "$source_dir/README.md" "$build/"
"$build/venv/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$build/wheel" "$build"
"$new/bin/pip" install --quiet --disable-pip-version-check --no-deps "$build"/wheel/gateway-*.whl
"$new/bin/python" -c 'import gateway.cli' || fail "the new version does not start; the old one stays"

running=false
if systemctl is-active --quiet gateway 2>/dev/null; then
  running=true
  systemctl stop gateway
fi
rm -rf "$prefix/venv.old"
[ ! -d "$prefix/venv" ] || mv "$prefix/venv" "$prefix/venv.old"
mv "$new" "$prefix/venv"
# Scripts of a venv name its folder.
grep -rlI "$new" "$prefix/venv/bin" | xargs -r sed -i "s|$new|$prefix/venv|g"
cp "$source_dir/README.md" "$prefix/share/README.md"
ln -sf "$prefix/venv/bin/gateway" /usr/local/bin/gateway

install -d -m 0750 -o root -g gateway "$config_dir"
if [ ! -e "$config_dir/config.toml" ]; then
  install -m 0640 -o root -g gateway "$source_dir/config.example.toml" "$config_dir/config.toml"
  fresh=true
else
  fresh=false
fi

install -m 0644 "$source_dir/deploy/pi/gateway.service" "$unit"
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl enable --quiet gateway
fi

if $fresh; then
  say "installed. Now edit $config_dir/config.toml, then:"
  say "  sudo gateway check -c $config_dir/config.toml"
  say "  sudo systemctl start gateway"
elif $running; then
  systemctl start gateway
  say "upgraded and started again; the version before is in $prefix/venv.old"
else
  say "upgraded; start it with: sudo systemctl start gateway"
fi
