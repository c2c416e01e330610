"""Arbitrary bytes for what a gate reads from outside and from its flash."""
