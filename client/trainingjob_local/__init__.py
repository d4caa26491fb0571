"""Runs a TrainingJob on this machine: the operator's policies, with processes in the place of pods.

`core.plan.decide` says what to create and what the status is, from the same facts as in a cluster; `core.desired`
builds the pods. Here a pod becomes a process on loopback (`pods`), its volumes become folders (`mounts`), and what
the kubelet would write into its status is observed from the process. So what is tried at a desk is what a cluster
runs.
"""
