#!/usr/bin/env bash
# cluster.sh up | down              the cluster that every other command is about (backend.sh says which)
# cluster.sh kubeconfig | context   prints its file, its context's name
# cluster.sh audit-log              prints who asked what of its API, one JSON object per line; only of our own clusters
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$ROOT/deploy/backend.sh"

case ${1:-} in
  up)
    case $(backend) in
      existing) say "using the cluster of context '$KUBE_CONTEXT'; nothing is created" ;;
      kind) "$ROOT/deploy/kind/kind.sh" up ;;
      local) "$ROOT/deploy/local/up.sh" ;;
    esac
    ;;
  down)
    if [ -n "${KUBE_CONTEXT:-}" ]; then
      say "the cluster of context '$KUBE_CONTEXT' is not ours to remove: nothing is done (make uninstall removes the release)"
      exit 0
    fi
    # both, whatever would be chosen now: Docker may have come or gone since
    "$ROOT/deploy/local/down.sh"
    if have kind && docker_answers; then "$ROOT/deploy/kind/kind.sh" down; fi
    ;;
  kubeconfig) kubeconfig_file ;;
  context) context_name ;;
  backend) backend ;;
  audit-log)
    case $(backend) in
      existing) die "the API server of '$KUBE_CONTEXT' does not show us its audit log" ;;
      kind) "$ROOT/deploy/kind/kind.sh" audit-log ;;
      local) cat "$STATE/cluster/audit.log" ;;
    esac
    ;;
  *) die "use: cluster.sh up | down | kubeconfig | context | backend | audit-log" ;;
esac
