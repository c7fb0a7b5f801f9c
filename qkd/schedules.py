"""Learning-rate schedules: factors on the initial rates, pure functions of a step (torch-free)."""

import math

from qkd.spec import Recipe


def cosine(step: int, horizon: int) -> float:
    """The factor on the learning rates at ``step``: from 1 at step 0 to 0 at the horizon."""
    return 0.5 * (1.0 + math.cos(math.pi * min(step, horizon) / horizon))


def learning_rate_factor(step: int, recipe: Recipe) -> float:
    """The factor on the learning rates at ``step``: one cosine, or one between two restarts."""
    begin = max((start for start in recipe.restarts if start <= step), default=0)
    end = min((start for start in recipe.restarts if start > step), default=recipe.horizon)
    return cosine(step - begin, end - begin)
