# shellcheck shell=bash
# Programs that the test scripts run. Each function checks for a program, installs it on Debian if it is missing, and ends
# the script with one line if it is too old.

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# Debian has servers in a directory of its own.
export PATH="$PATH:/usr/sbin"

# Runs a command as root.
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Installs Debian packages, without starting their servers, which would occupy ports.
install_packages() {
  if ! command -v apt-get >/dev/null; then
    echo "Missing programs. Install what Debian provides in: $*" >&2
    exit 1
  fi
  if [ -z "${package_lists:-}" ]; then
    as_root apt-get update -q
    package_lists=current
  fi
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -qy --no-install-recommends -o DPkg::Lock::Timeout=600 "$@"
}

# Provides a program: `need PROGRAM [PACKAGE…]`. Most packages have the name of their program.
need() {
  local program="$1"
  shift
  command -v "$program" >/dev/null || install_packages "${@:-$program}"
}

# Prints the version of a program, or ends the script if it is too old: `need_version NAME MINIMUM OUTPUT`. The version is
# the first number with a dot in the output.
need_version() {
  local found
  found="$(grep -oE '[0-9]+(\.[0-9]+)+' <<<"$3" | sed -n 1p)" || true
  if [ "$(printf '%s\n' "$2" "$found" | sort -V | sed -n 1p)" != "$2" ]; then
    echo "$1 is too old (${found:-unknown version}). Install $2 or newer." >&2
    exit 1
  fi
  echo "$1 $found"
}

need_node() {
  need node nodejs
  need npm
  need_version Node.js 20.19 "$(node --version)"
}

# Sets CHROMIUM to the path of the browser. Its minimum has the CSS function `light-dark`.
need_chromium() {
  if [ -z "${CHROMIUM:-}" ]; then
    need chromium chromium fonts-liberation
    CHROMIUM="$(command -v chromium)"
  fi
  export CHROMIUM
  need_version Chromium 123 "$("$CHROMIUM" --version)"
}

# The minimums of nginx and Caddy are those of their configurations in `packaging/`.
need_nginx() {
  need nginx
  need_version nginx 1.22 "$(nginx -v 2>&1)"
}

need_caddy() {
  need caddy
  need_version Caddy 2.6 "$(caddy version)"
}

# Builds the service, unless VESTIBULE_BIN names one. Then sets VESTIBULE_BIN.
need_service() {
  if [ -z "${VESTIBULE_BIN:-}" ]; then
    (cd "$repository" && cargo build --quiet --locked)
    VESTIBULE_BIN="$repository/target/debug/vestibule"
  fi
  export VESTIBULE_BIN
}

# Provides a Python environment with the packages of a file: `need_venv DIRECTORY REQUIREMENTS`.
need_venv() {
  need python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
  [ -x "$1/bin/pip" ] || python3 -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
}
