# Sourced after lib.sh, python.sh and backend.sh: building one image, with docker where it answers, else with buildah.
# shellcheck shell=bash

builder() { if docker_answers; then echo docker; else echo buildah; fi; }

image_exists() {
  case $(builder) in
    docker) docker image inspect "$1" >/dev/null 2>&1 ;;
    buildah) buildah inspect --type image "$1" >/dev/null 2>&1 ;;
  esac
}

# forget_old REPOSITORY COUNT: removes all but the newest COUNT of the images that we tagged there.
forget_old() {
  local all
  case $(builder) in
    docker) all=$(docker image ls --format '{{.Repository}}:{{.Tag}}' "$1") ;;
    buildah) all=$(buildah images --format '{{.Name}}:{{.Tag}}') ;;
  esac
  { grep "^$1:dev-" <<<"$all" || true; } | tail -n "+$(($2 + 1))" | while read -r image; do
    "$(builder)" rmi "$image" >/dev/null 2>&1 || true # in use: next time
  done
}

push_image() { heartbeat "pushing $1" "$(builder)" push "$1"; }

# build_secrets FOLDER: this machine's package index and certificates, for the build only: they stay out of the image.
build_secrets() {
  local index ca
  index=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || true)}
  ca=${PIP_CERT:-${SSL_CERT_FILE:-}}
  {
    echo '[global]'
    [ -z "$index" ] || echo "index-url = $index"
    [ -z "${PIP_EXTRA_INDEX_URL:-}" ] || echo "extra-index-url = $PIP_EXTRA_INDEX_URL"
    [ -z "$ca" ] || echo 'cert = /run/secrets/ca.crt'
    echo "timeout = ${PIP_DEFAULT_TIMEOUT:-60}"
  } >"$1/pip.conf"
  if [ -n "$ca" ]; then cp "$ca" "$1/ca.crt"; else : >"$1/ca.crt"; fi
}

# build_image CONTEXT DOCKERFILE IMAGE [OPTION…]
build_image() {
  local context=$1 file=$2 image=$3 work base=${BASE_IMAGE:-} rc=0
  shift 3
  work=$(mktemp -d)
  build_secrets "$work"
  set -- --file "$context/$file" --tag "$image" --secret "id=pip,src=$work/pip.conf" --secret "id=ca,src=$work/ca.crt" "$@" "$context"
  if [ "$(builder)" = docker ]; then
    [ -z "$base" ] || set -- --build-arg "BASE_IMAGE=$base" "$@"
    DOCKER_BUILDKIT=1 heartbeat "building $image" docker build "$@" || rc=$?
  else
    [ -n "$base" ] || base=$("$ROOT/deploy/images/base.sh")
    # chroot: works where the kernel lets us make no full container
    heartbeat "building $image" buildah build --isolation chroot --layers --build-arg "BASE_IMAGE=$base" "$@" || rc=$?
  fi
  rm -rf "$work"
  return "$rc"
}
