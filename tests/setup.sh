#!/usr/bin/env bash
# Makes sure that a Chromium is there for the tests that drive the dashboard, and says so when it cannot.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
  if path="$(command -v "$name")"; then
    echo "    browser: $path"
    exit 0
  fi
done

skip() {
  echo "    browser tests will be SKIPPED: $1" >&2
  exit 0
}

command -v apt-get >/dev/null || skip 'no chromium on the PATH, and no apt-get here to install it with'
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true 2>/dev/null || skip 'no chromium on the PATH, and installing it needs root (apt-get install chromium)'
  as_root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
fi

export DEBIAN_FRONTEND=noninteractive
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
echo '    installing chromium with apt-get'
if ! "${as_root[@]}" apt-get update >"$log" 2>&1 ||
  ! "${as_root[@]}" apt-get install -y --no-install-recommends chromium >>"$log" 2>&1; then
  tail -n 5 "$log" >&2
  skip 'apt-get could not install chromium (its last lines are above)'
fi
echo "    browser: $(command -v chromium)"
