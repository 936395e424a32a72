"""Holds the server against its peers: `python -m compare`, from benches/."""
