#!/usr/bin/env bash
# Removes the gateway. Configuration and data stay unless --purge is given.
set -euo pipefail

[ "$(id -u)" -eq 0 ] || {
  echo "uninstall.sh: run it as root: sudo $0" >&2
  exit 1
}
if [ -d /run/systemd/system ]; then
  systemctl disable --now --quiet gateway 2>/dev/null || true
fi
rm -f /etc/systemd/system/gateway.service /usr/local/bin/gateway
rm -rf /opt/gateway
[ ! -d /run/systemd/system ] || systemctl daemon-reload
if [ "${1:-}" = "--purge" ]; then
  rm -rf /etc/gateway /var/lib/gateway
  userdel gateway 2>/dev/null || true
  echo "removed, with its configuration and data; PINs on the locks stay until they are deleted there"
else
  echo "removed; /etc/gateway and /var/lib/gateway are kept (--purge removes them too)"
fi
