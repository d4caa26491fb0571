# Sourced: what is built from which Go module. Versions are read from the go.mod files in tools/, nowhere repeated.
# shellcheck shell=bash

# module_version GO_MOD MODULE: the version that GO_MOD requires of MODULE, for example v1.36.3; fails when it has none.
module_version() {
  awk -v module="$2" '
    $1 == "require" { $1 = ""; $0 = $0 }             # the one-line form
    $1 == module && $2 ~ /^v[0-9]/ { print $2; found = 1; exit }
    END { exit !found }' "$1" ||
    { echo "error: $1 requires no version of $2" >&2; return 1; }
}

# go_needed GO_MOD: the least Go release that builds it, for example 1.26.0.
go_needed() { awk '$1 == "go" { print $2; exit }' "$1"; }

# group_of BINARY: the folder in tools/ that builds it.
group_of() {
  case $1 in
    etcd | coredns | helm | pause | kwok) echo "$1" ;;
    kube-apiserver | kube-controller-manager | kube-scheduler | kubelet | kube-proxy | kubectl) echo kubernetes ;;
    *) echo "error: no tool is called $1" >&2; return 1 ;;
  esac
}

# package_of BINARY: its import path.
package_of() {
  case $1 in
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    coredns) echo github.com/coredns/coredns ;;
    helm) echo helm.sh/helm/v3/cmd/helm ;;
    pause) echo . ;;
    kwok) echo sigs.k8s.io/kwok/cmd/kwok ;;
    *) echo "k8s.io/kubernetes/cmd/$1" ;;
  esac
}

# version_of GROUP: its version; a program of our own has a digest of its source instead.
version_of() {
  local mod=$LOCAL/tools/$1/go.mod
  case $1 in
    etcd) module_version "$mod" go.etcd.io/etcd/server/v3 ;;
    coredns) module_version "$mod" github.com/coredns/coredns ;;
    helm) module_version "$mod" helm.sh/helm/v3 ;;
    kwok) module_version "$mod" sigs.k8s.io/kwok ;;
    kubernetes) module_version "$mod" k8s.io/kubernetes ;;
    pause) digest "deploy/local/tools/pause" ;;
  esac
}

# ldflags_of GROUP VERSION: linker flags; they put the version where `--version` and /version look for it.
ldflags_of() {
  local base=k8s.io/component-base/version minor=${2#v*.}
  case $1 in
    kubernetes)
      echo "-s -w -X $base.gitVersion=$2 -X $base.gitMajor=1 -X $base.gitMinor=${minor%%.*} -X $base.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitVersion=$2"
      ;;
    kwok) echo "-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=${2#v}" ;;
    helm) echo "-s -w -X helm.sh/helm/v3/internal/version.version=$2" ;;
    *) echo "-s -w" ;;
  esac
}

# tool BINARY: where its built file lies (or will).
tool() {
  local group
  group=$(group_of "$1")
  echo "$TOOLS/$group-$(version_of "$group")/$1"
}
