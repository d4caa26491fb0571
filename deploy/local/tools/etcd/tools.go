//go:build tools

// Package tools pins etcd of the local cluster.
package tools

import _ "go.etcd.io/etcd/server/v3"
