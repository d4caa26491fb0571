"""The shell: queue, reconciler, caches and the process that kopf carries."""
