#!/bin/sh
# The command `gateway`: for root it acts as the daemon's user, beside the daemon's state.
if [ "$(id -u)" -eq 0 ]; then
  STATE_DIRECTORY=/var/lib/gateway
  export STATE_DIRECTORY
  exec setpriv --reuid=gateway --regid=gateway --init-groups -- /opt/gateway/venv/bin/gateway "$@"
fi
exec /opt/gateway/venv/bin/gateway "$@"
