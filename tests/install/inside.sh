#!/usr/bin/env bash
# Runs inside the tree, under its systemd; see run.sh. The last line says "all passed".
set -euo pipefail
cd /root/gateway
config=/etc/gateway/config.toml

say() { printf '%s\n' "$*"; }
die() {
  say "FAILED: $*"
  journalctl -u gateway --no-pager -n 40 -o cat || true
  exit 1
}
# until SECONDS COMMAND...: it comes true in time.
until_true() {
  local left=$1
  shift
  while ! "$@"; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    sleep 1
  done
}
pid() { systemctl show --property=MainPID --value gateway; }
is_new_pid() { [ "$(pid)" != "$1" ] && [ "$(pid)" != 0 ] && systemctl is-active --quiet gateway; }
answers() { gateway status -c "$config" --json >/root/status.json 2>/dev/null; }
is_ready() {
  python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:18080/readyz")' 2>/dev/null
}
pin_is_active() { answers && grep -q '"pinStatus": "active"' /root/status.json; }
schema() {
  python3 -c 'import sqlite3; print(sqlite3.connect("file:/var/lib/gateway/gateway.db?mode=ro", uri=True)
    .execute("PRAGMA user_version").fetchone()[0])'
}

say "-- $(sed -n "s/^PRETTY_NAME=//p" /etc/os-release), $(python3 --version), $(systemctl --version | head -n 1)"
systemd-analyze security --offline=true --threshold=15 --no-pager deploy/pi/gateway.service | tail -n 1 ||
  die "the unit is rated worse than 1.5"

deploy/pi/install.sh || die "fresh install"
[ "$(stat -c '%a %U:%G' $config)" = "640 root:gateway" ] || die "the modes of config.toml"
[ "$(stat -c '%a %U:%G' /var/lib/gateway)" = "700 gateway:gateway" ] || die "the modes of the state"
! systemctl is-active --quiet gateway || die "it started with the example"
say "ok fresh install"

setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/tmp \
  /opt/gateway/venv/bin/gateway simulator --http-port 18080 >/root/simulated.toml &
simulator=$!
until_true 30 grep -q 'locks = \["house"\]' /root/simulated.toml || die "the simulator"
deploy/pi/install.sh --config /root/simulated.toml || die "install with a configuration"
systemctl is-active --quiet gateway || die "it does not run"
until_true 60 pin_is_active || die "no PIN became active"
say "ok installed and running; a lock has confirmed a PIN"

systemd-analyze security --threshold=15 --no-pager gateway.service | tail -n 1 || die "the running unit's rating"
status=/proc/$(pid)/status
for line in 'Seccomp:.2' 'NoNewPrivs:.1' 'CapEff:.0000000000000000' 'CapBnd:.0000000000000000'; do
  grep -q "$line" "$status" || die "not confined: $line"
done
[ "$(stat -c %U "/proc/$(pid)")" = gateway ] || die "not the user gateway"
# As the daemon: only its state directory can be written, and nothing can be executed from memory.
nsenter --mount --target "$(pid)" -- setpriv --reuid=gateway --regid=gateway --clear-groups \
  sh -c 'touch /var/lib/gateway/x && rm /var/lib/gateway/x && ! touch /opt/gateway/x /etc/gateway/x 2>/dev/null' ||
  die "the file system is not confined"
# What it reads of the machine is there.
for file in /proc/sys/kernel/random/boot_id /sys/class/net/lo/address; do
  nsenter --mount --target "$(pid)" -- setpriv --reuid=gateway --regid=gateway --clear-groups cat "$file" >/dev/null ||
    die "$file is hidden"
done
say "ok confined: seccomp, no capability, no new privileges, read-only but its state"

old=$(pid)
sed -i 's/^level = .*/level = "debug"/' $config
systemctl reload gateway
until_true 20 sh -c 'systemctl status gateway | grep -q "running with the new configuration"' || die "reload"
[ "$(pid)" = "$old" ] || die "a reload is no restart"
cp $config /root/good.toml
echo '[stays' >$config
systemctl reload gateway
until_true 20 sh -c 'systemctl status gateway | grep -q "is invalid, see the journal"' || die "invalid reload"
journalctl -u gateway -o cat --no-pager | grep -q config.refused || die "the journal does not tell"
[ "$(pid)" = "$old" ] || die "an invalid file stopped it"
systemctl restart gateway || die "--last-good"
until_true 20 is_ready || die "it is not ready with the last valid file"
cat /root/good.toml >$config
systemctl restart gateway
say "ok reload: valid, invalid, --last-good"

mkdir -p /etc/systemd/system/gateway.service.d
printf '[Service]\nRestartSec=100ms\nWatchdogSec=4\n' >/etc/systemd/system/gateway.service.d/test.conf
systemctl daemon-reload
systemctl restart gateway
for _ in $(seq 1 12); do
  old=$(pid)
  kill -KILL "$old"
  until_true 30 is_new_pid "$old" || die "it was not started again"
done
old=$(pid)
kill -STOP "$old"
until_true 60 is_new_pid "$old" || die "the watchdog did not bite"
rm -r /etc/systemd/system/gateway.service.d
systemctl daemon-reload
systemctl restart gateway
say "ok 12 crashes in a row and a hang: started again each time"

began=$(date +%s%N)
systemctl stop gateway
say "ok stopped in $((($(date +%s%N) - began) / 1000000)) ms: $(systemctl show --property=Result --value gateway)"
systemctl start gateway

# an upgrade
cp -r /root/gateway /root/next
sed -i 's/^version = "[0-9.]*"/version = "0.1.99"/' /root/next/pyproject.toml
sleep 1
before=$(readlink /opt/gateway/venv)
/root/next/deploy/pi/install.sh || die "upgrade"
[ "$(readlink /opt/gateway/venv)" != "$before" ] || die "the link did not move"
journalctl -u gateway -o cat --no-pager | grep -q '"gateway": "0.1.99"' || die "the new version does not run"
until_true 60 pin_is_active || die "the PIN after the upgrade"
say "ok upgrade"

# an upgrade that migrates the database and then does not become ready
working=$(readlink /opt/gateway/venv)
schema_before=$(schema)
cp -r /root/next /root/broken
last=$(find /root/broken/gateway/store/migrations -name '*.sql' | sort | tail -n 1)
number=$(basename "$last" | cut -c1-4)
echo 'CREATE TABLE from_the_future (id INTEGER PRIMARY KEY) STRICT;' \
  >"/root/broken/gateway/store/migrations/$(printf %04d $((10#$number + 1)))_future.sql"
sed -i 's/^        systemd.ready(f"serving.*/        raise RuntimeError("broken on purpose")/' /root/broken/gateway/cli/run.py
grep -q "broken on purpose" /root/broken/gateway/cli/run.py || die "the broken version is not broken"
sleep 1
beside=/var/lib/gateway/gateway.db.generation
[ -e "$beside" ] || die "there is no generation counter"
ln "$beside" /root/generation
if /root/broken/deploy/pi/install.sh; then die "a broken version was installed"; fi
[ "$(cat "$beside")" -ge "$(cat /root/generation)" ] || die "the generation counter went back"
journalctl -u gateway -o cat --no-pager | grep -q "broken on purpose" || die "the broken version never ran"
[ "$(readlink /opt/gateway/venv)" = "$working" ] || die "the old version is not back"
[ "$(schema)" = "$schema_before" ] || die "the old database is not back"
systemctl is-active --quiet gateway || die "the old version does not run"
until_true 600 pin_is_active || die "the PIN after the roll-back"
say "ok roll-back of version and database"

# one that cannot even be imported leaves everything alone
echo 'raise RuntimeError' >>/root/broken/gateway/cli/main.py
old=$(pid)
if /root/broken/deploy/pi/install.sh; then die "what cannot be imported was installed"; fi
[ "$(pid)" = "$old" ] || die "the running daemon was touched"
[ "$(find /opt/gateway/releases -mindepth 1 -maxdepth 1 | wc -l)" -le 2 ] || die "old releases pile up"
say "ok what cannot be imported changes nothing"

deploy/pi/uninstall.sh
{ [ -e $config ] && [ -e /var/lib/gateway/gateway.db ]; } || die "uninstall took data"
{ [ ! -e /opt/gateway ] && [ ! -e /etc/systemd/system/gateway.service ]; } || die "uninstall left the programme"
deploy/pi/install.sh || die "install again over kept data"
until_true 60 pin_is_active || die "the PIN after installing again"
deploy/pi/uninstall.sh --purge
{ [ ! -e /etc/gateway ] && [ ! -e /var/lib/gateway ]; } || die "purge left data"
! getent passwd gateway >/dev/null || die "purge left the user"
say "ok uninstall, install again, purge"
kill "$simulator"
say "all passed"
