//go:build tools

// Package tools pins CoreDNS of the local cluster.
package tools

import _ "github.com/coredns/coredns"
