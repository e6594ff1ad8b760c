#!/bin/sh
# Chromium from Debian, where there is none.
set -eu
command -v chromium >/dev/null || command -v chromium-browser >/dev/null && exit 0
as_root=
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true 2>/dev/null && as_root="sudo -n"
fi
if ! command -v apt-get >/dev/null || { [ "$(id -u)" -ne 0 ] && [ -z "$as_root" ]; }; then
  echo "The tests of the page need Chromium: sudo apt-get install chromium" >&2
  exit 1
fi
echo "Chromium is installed for the tests of the page"
install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; }
install 2>/dev/null || { $as_root apt-get update -qq && install; } || {
  echo "Chromium could not be installed. Do it yourself: sudo apt-get install chromium" >&2
  exit 1
}
