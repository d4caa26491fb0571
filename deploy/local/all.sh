# Sourced after lib.sh: every part of the local cluster.
# shellcheck shell=bash
source "$ROOT/deploy/python.sh"
source "$ROOT/deploy/local/settings.sh"
source "$LOCAL/versions.sh"
source "$LOCAL/process.sh"
source "$LOCAL/pki.sh"
source "$LOCAL/network.sh"
source "$LOCAL/control-plane.sh"
source "$LOCAL/image-store.sh"
source "$LOCAL/load.sh"
source "$LOCAL/node.sh"
