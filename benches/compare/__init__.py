"""Compares the server with its peers: `python -m compare`, from benches/."""
