"""Process 1 of every member's container: forms the gang, starts the trainer, reports. Standard library only."""
