from datasets import *  # noqa: F403
