# Sourced: what the host has of the cluster's network: one bridge, forwarding, and four firewall rules.
# shellcheck shell=bash

# The rules, one per line, without -A/-D; the comment tells whose they are.
host_rules() {
  local own="-m comment --comment trainingjob-local"
  echo "filter FORWARD -i $BRIDGE $own -j ACCEPT"
  echo "filter FORWARD -o $BRIDGE $own -j ACCEPT"
  echo "nat POSTROUTING -s $NODE_NET.0/24 ! -o $BRIDGE $own -j MASQUERADE"
  echo "nat POSTROUTING -s $POD_NET.0.0/16 ! -o $BRIDGE $own -j MASQUERADE"
}

# shellcheck disable=SC2086
host_network_up() {
  local table chain rule
  cat /proc/sys/net/ipv4/ip_forward >"$CLUSTER/ip_forward.before"
  [ -e /run/netns ] || touch "$CLUSTER/netns.ours"
  ip link add "$BRIDGE" type bridge
  ip addr add "$API_IP/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  while read -r table chain rule; do
    iptables -w -t "$table" -I "$chain" $rule
  done < <(host_rules)
}

# shellcheck disable=SC2086
host_network_down() {
  local table chain rule
  while read -r table chain rule; do
    while iptables -w -t "$table" -D "$chain" $rule 2>/dev/null; do :; done
  done < <(host_rules)
  api_reach_all
  ip link del "$BRIDGE" 2>/dev/null || true
  # `ip netns` mounts the folder onto itself; when it was not there before and holds nothing else, it goes too
  if [ -e "$CLUSTER/netns.ours" ] && [ -z "$(ls -A /run/netns 2>/dev/null)" ]; then
    umount /run/netns 2>/dev/null || true
    rmdir /run/netns 2>/dev/null || true
  fi
  [ ! -e "$CLUSTER/ip_forward.before" ] || cat "$CLUSTER/ip_forward.before" >/proc/sys/net/ipv4/ip_forward
}

# What keeps a node and its pods from the API server: rules of a name of their own.
api_cut() { # NAME
  local source
  for source in "$(cat "$NODES/$1/ip")" "$POD_NET.$(cat "$NODES/$1/number").0/24"; do
    iptables -w -I INPUT -i "$BRIDGE" -s "$source" -p tcp --dport "$API_PORT" -m comment --comment "trainingjob-cut-$1" -j DROP
  done
}

# api_reach NAME: takes those of one node away; safe where there are none.
api_reach() { api_rules_away "trainingjob-cut-$1"; }
api_reach_all() { api_rules_away "trainingjob-cut-node[0-9]"; }
api_rules_away() {
  local rule
  iptables -w -S INPUT 2>/dev/null | { grep -E -- "--comment \"?$1\"? " || true; } | sed 's/^-A //; s/"//g' | while read -r rule; do
    # shellcheck disable=SC2086
    iptables -w -D $rule
  done
}
