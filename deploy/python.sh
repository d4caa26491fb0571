# Sourced after lib.sh: Python programs that the scripts themselves need, each in its own folder of the cache.
# shellcheck shell=bash

# packages PROGRAM=PACKAGE…: installs the Debian packages of programs that are missing (root only). Going by the program
# leaves alone what came from elsewhere: Docker's own containerd would be removed by Debian's.
packages() {
  local missing=() pair
  for pair in "$@"; do
    have "${pair%%=*}" || [ -e "${pair%%=*}" ] || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  have apt-get || die "the packages ${missing[*]} are missing and this is no Debian or Ubuntu: install them by hand"
  [ "$(id -u)" = 0 ] || die "the packages ${missing[*]} are missing: run 'sudo apt-get install ${missing[*]}' or repeat as root"
  heartbeat "apt: ${missing[*]}" apt_install "${missing[@]}"
}

# Errors of foreign package sources are tolerated as long as the packages themselves can be had.
apt_install() {
  local rc=0
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update || echo "apt-get update reported errors; trying with what it has"
  apt-get -qq install --no-install-recommends -y "$@" || rc=$?
  return "$rc"
}

# python311: prints a Python of at least 3.11.
python311() {
  local p
  for p in python3 python3.14 python3.13 python3.12 python3.11; do
    if have "$p" && "$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
      command -v "$p"
      return 0
    fi
  done
  die "Python 3.11 or later is needed, $(python3 --version 2>&1 || echo 'no python3') was found"
}

# bootstrapped NAME: prints the folder of an environment that holds what deploy/bootstrap/NAME.lock lists.
bootstrapped() {
  local name=$1 lock dir python
  lock=$ROOT/deploy/bootstrap/$name.lock
  dir=$CACHE/bootstrap/$name-$(digest "deploy/bootstrap/$name.lock")
  if [ ! -e "$dir/complete" ]; then
    python=$(python311)
    "$python" -c 'import ensurepip, venv' 2>/dev/null || packages "no python3-venv=python3-venv"
    rm -rf "$dir"
    mkdir -p "$CACHE/bootstrap"
    "$python" -m venv "$dir"
    heartbeat "$name from $(basename "$lock")" "$dir/bin/pip" install -q --disable-pip-version-check --require-hashes --only-binary :all: -r "$lock"
    touch "$dir/complete"
  fi
  echo "$dir"
}

# uv_program: prints a uv: this machine's own, or the pinned one.
uv_program() {
  if have uv && uv --version >/dev/null 2>&1; then command -v uv; else echo "$(bootstrapped uv)/bin/uv"; fi
}
