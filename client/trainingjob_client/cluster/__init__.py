"""What talks to a cluster, through the official client.

`kubernetes` is imported here alone, and only when a command runs: it costs a third of a second that `--help` does not
pay. Of the client its configuration, authentication and transport are used, and answers stay plain JSON: importing
`CoreV1Api` with its models takes two seconds more, and the models refuse what a newer API server adds.
"""
