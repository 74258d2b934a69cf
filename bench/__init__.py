"""Benchmarks. Performance is measured here, and never asserted by a test."""
