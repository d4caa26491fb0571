"""`make bench-scale`: what many jobs at once cost, beside a real control plane.

etcd, kube-apiserver, controller manager and scheduler are real; kwok plays the nodes, so that a pod costs nothing but
its objects. The operator is the real process with an identity of its own, and what it and others asked of the API
server is read from the audit log. Chiefs' launchers are played by one client that posts their reports to the real
intake. The limit is a bare client that makes the same pods, in the same run, before or after us in turns.

Absolute numbers are the machine's. Ratios of one run say more, and the requests per job say most.
"""
