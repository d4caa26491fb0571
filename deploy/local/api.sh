#!/usr/bin/env bash
# api.sh off | on: the local cluster without its API server, and with it again. What was written stays.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/local/all.sh"

[ "$(id -u)" = 0 ] || die "the local cluster was started by root: repeat with sudo -E"
pid_of etcd >/dev/null || die "the local cluster does not run: make cluster"
case ${1:-} in
  off) stop apiserver ;;
  on)
    pid_of apiserver >/dev/null || start_apiserver
    retry 60 api_ready || die "kube-apiserver is not ready after 60 s, see $LOG/apiserver.log"
    ;;
  *) die "use: api.sh off | on" ;;
esac
