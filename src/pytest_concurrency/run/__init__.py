"""Real concurrency: many callers released together, every outcome kept."""
