"""Every interleaving that matters: points, schedules, search, replay, timelines."""
