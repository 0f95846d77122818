"""Synthetic studies with known truth: drawn by physics, for tests, demonstrations and benchmarks."""
