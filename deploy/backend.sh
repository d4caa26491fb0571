# Sourced after lib.sh: which cluster the commands are about.
#   existing   KUBE_CONTEXT names it; it is neither made nor removed
#   kind       a Docker daemon answers
#   local      neither: the Kubernetes of deploy/local
# shellcheck shell=bash
KIND_NAME=trainingjob

docker_answers() {
  # asked once: a daemon that does not answer costs seconds
  [ -n "${TJ_DOCKER:-}" ] || { if have docker && timeout 10 docker info >/dev/null 2>&1; then TJ_DOCKER=yes; else TJ_DOCKER=no; fi; }
  export TJ_DOCKER
  [ "$TJ_DOCKER" = yes ]
}

backend() {
  if [ -n "${KUBE_CONTEXT:-}" ]; then
    echo existing
  elif [ -n "${CLUSTER_BACKEND:-}" ]; then
    case $CLUSTER_BACKEND in
      kind | local) echo "$CLUSTER_BACKEND" ;;
      *) die "CLUSTER_BACKEND=$CLUSTER_BACKEND: it is kind or local" ;;
    esac
  elif docker_answers; then
    have kind || die "Docker answers but 'kind' is not on PATH. Install it (see https://kind.sigs.k8s.io; with Go: go install sigs.k8s.io/kind@latest), or choose CLUSTER_BACKEND=local, or an existing cluster with KUBE_CONTEXT=<context>"
    echo kind
  else
    echo local
  fi
}

context_name() {
  case $(backend) in
    existing) echo "$KUBE_CONTEXT" ;;
    kind) echo "kind-$KIND_NAME" ;;
    local) echo trainingjob-local ;;
  esac
}

# kubeconfig_file: the file for that context.
kubeconfig_file() {
  case $(backend) in
    existing) echo "${KUBECONFIG:-$HOME/.kube/config}" ;;
    kind) echo "$STATE/kind.kubeconfig" ;;
    local) echo "$STATE/cluster/kubeconfig" ;;
  esac
}

# load_images REFERENCE…: brings built images into the cluster's nodes.
load_images() {
  local image
  case $(backend) in
    existing) die "the cluster '$KUBE_CONTEXT' cannot take images from this machine: set IMAGE_REGISTRY=<a registry it can pull from>, or OPERATOR_IMAGE and TRAINER_IMAGE" ;;
    kind) for image in "$@"; do heartbeat "loading $image into kind" kind load docker-image --name "$KIND_NAME" "$image"; done ;;
    local) "$ROOT/deploy/local/load-image.sh" "$@" ;;
  esac
}

# program NAME: kubectl or helm: this machine's own where the cluster is not ours to build for, else the pinned one.
program() {
  if [ "$(backend)" != local ] && have "$1"; then
    command -v "$1"
  else
    "$ROOT/deploy/local/tools.sh" "$1"
    "$ROOT/deploy/local/tools.sh" --path "$1"
  fi
}
