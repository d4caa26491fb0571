"""A thin Kubernetes client on plain dicts: what an operator needs, and nothing of kopf.

Why an own client: the official one is 5 to 7 times slower a request and refuses objects that its models do not
know; kopf's is private. This one does what the reconciler and the intake need (server-side apply, chunked lists,
watches, preconditions, bounded retries, a rate limit) and shows it.
"""
