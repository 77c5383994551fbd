"""What the benchmarks share: tables, and environments that hold chosen distributions."""
