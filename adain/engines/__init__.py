"""The runtimes that execute the networks."""
