"""The resource, its names, and the contract with the launcher: what every other layer may import."""
