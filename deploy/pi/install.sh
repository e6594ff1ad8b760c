#!/usr/bin/env bash
# Installs or upgrades the gateway on Raspberry Pi OS or Debian. Run it as root from a checkout:
#   sudo deploy/pi/install.sh [--config FILE]
# A version that does not become ready is taken back, with its database.
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
prefix=/opt/gateway
state=/var/lib/gateway
config=/etc/gateway/config.toml
unit=/etc/systemd/system/gateway.service
saved=$prefix/before-upgrade # the database and the unit of the version before

say() { printf '%s\n' "$*"; }
fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

given=
if [ "${1:-}" = --config ]; then
  given=${2:?--config needs a file}
  [ -r "$given" ] || fail "$given cannot be read"
elif [ $# -gt 0 ]; then
  fail "there is no option $1; use --config FILE or none"
fi
[ "$(id -u)" -eq 0 ] || fail "run it as root: sudo $0"
python=$(command -v python3) || fail "python3 is missing: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "Python 3.11 or newer is needed; this is $("$python" --version)"
"$python" -c 'import struct, sys; sys.exit(struct.calcsize("P") != 8)' ||
  fail "a 64-bit system is needed: there are no wheels for this one"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  fail "the venv module is missing: apt-get install python3-venv"

has_systemd() { [ -d /run/systemd/system ]; }
is_active() { has_systemd && systemctl is-active --quiet gateway; }

make_user() {
  getent passwd gateway >/dev/null && return
  useradd --system --user-group --home-dir "$state" --no-create-home --shell /usr/sbin/nologin gateway
  say "made the user gateway"
}

# Every version has a folder of its own; the link `venv` says which one is used.
build_release() {
  release=$prefix/releases/$(date -u +%Y%m%dT%H%M%SZ)
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$prefix/releases" "$prefix/share"
  local pip=(-m pip --disable-pip-version-check --quiet)
  local hashed=(install --require-hashes --only-binary=:all:)
  "$python" -m venv "$release"
  "$release/bin/python" "${pip[@]}" "${hashed[@]}" -r "$source_dir/requirements.txt"
  "$python" -m venv "$work/venv"
  "$work/venv/bin/python" "${pip[@]}" "${hashed[@]}" -r "$source_dir/requirements-build.txt"
  cp -r "$source_dir/gateway" "$source_dir/pyproject.toml" "$source_dir/README.md" "$work/"
  "$work/venv/bin/python" "${pip[@]}" wheel --no-deps --no-build-isolation --wheel-dir "$work/wheel" "$work"
  "$release/bin/python" "${pip[@]}" install --no-deps "$work"/wheel/gateway-*.whl
  "$release/bin/gateway" --help >/dev/null || {
    rm -rf "$release"
    fail "the new version does not start; the one before stays"
  }
}

# use RELEASE: the link changes in one step.
use() {
  ln -s "$1" "$prefix/venv.new"
  mv -T "$prefix/venv.new" "$prefix/venv"
}

install_files() {
  install -m 0755 "$source_dir/deploy/pi/gateway.sh" /usr/local/bin/gateway
  install -m 0644 "$source_dir/README.md" "$prefix/share/README.md"
  install -d -m 0700 -o gateway -g gateway "$state"
  install -d -m 0750 -o root -g gateway /etc/gateway
  if [ -n "$given" ]; then
    install -m 0640 -o root -g gateway "$given" "$config"
  elif [ ! -e "$config" ]; then
    install -m 0640 -o root -g gateway "$source_dir/config.example.toml" "$config"
    fresh=true
  fi
  chown root:gateway "$config"
  chmod 0640 "$config"
  install -m 0644 "$source_dir/deploy/pi/gateway.service" "$unit"
  if has_systemd; then
    systemctl daemon-reload
    systemctl enable --quiet gateway
  fi
}

# Which schema each database has, as the daemon's user: root must leave no files there.
schemas() {
  setpriv --reuid=gateway --regid=gateway --clear-groups "$python" - "$state" <<'PYTHON'
import pathlib, sqlite3, sys
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.db")):
    database = sqlite3.connect(path)
    print(path.name, database.execute("PRAGMA user_version").fetchone()[0])
    database.close()
PYTHON
}

# The files of databases in a folder. Not the generation counter beside them: it must outlive a copy that is put back.
database_files() { find "$1" -maxdepth 1 -regex '.*\.db\(-wal\|-shm\)?' "${@:2}"; }

save() {
  rm -rf "$saved"
  install -d -m 0700 "$saved"
  cp -a "$unit" "$saved/"
  database_files "$state" -exec cp -a {} "$saved/" \;
  schemas >"$saved/schemas"
}

# The version before again. Where the new one changed no schema its database is the truest there is
# and stays; else the copy goes back, which the daemon recognises as older than the locks.
roll_back() {
  systemctl stop gateway || true
  use "$1"
  install -m 0644 "$saved/gateway.service" "$unit"
  if [ "$(schemas)" != "$(cat "$saved/schemas")" ]; then
    database_files "$state" -delete
    database_files "$saved" -exec cp -a {} "$state/" \;
    say "the database from before the upgrade is back"
  fi
  systemctl daemon-reload
  systemctl start gateway || say "the version before does not start either: journalctl -u gateway"
  rm -rf "$release"
  fail "the new version did not become ready (journalctl -u gateway): the one before runs again"
}

# Ready, and still the same process a while later.
stays_up() {
  systemctl start gateway || return 1
  local pid
  pid=$(systemctl show --property=MainPID --value gateway)
  sleep 10
  is_active && [ "$(systemctl show --property=MainPID --value gateway)" = "$pid" ]
}

fresh=false
before=$(readlink "$prefix/venv" || true)
make_user
build_release
if is_active; then
  systemctl stop gateway
  save
  use "$release"
  install_files
  stays_up || roll_back "$before"
  say "upgraded and running; the version before stays in $before"
else
  use "$release"
  install_files
  if $fresh; then
    say "installed. Now edit $config, then:"
    say "  sudo gateway check -c $config"
    say "  sudo systemctl start gateway"
  else
    status=0
    gateway check -c "$config" || status=$?
    [ "$status" -ne 2 ] || fail "installed; mend $config, then: sudo systemctl start gateway"
    if has_systemd; then
      stays_up || fail "installed, but it does not become ready: journalctl -u gateway"
      say "installed and running"
    fi
  fi
fi
# The version in use and the one before are kept.
find "$prefix/releases" -mindepth 1 -maxdepth 1 ! -path "$release" ! -path "${before:-none}" -exec rm -rf {} +
