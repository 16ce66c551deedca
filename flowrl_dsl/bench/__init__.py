"""Benchmarks: one file per kind, and their shared report; docs/performance.md describes the method."""
