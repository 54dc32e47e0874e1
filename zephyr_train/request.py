"""What the command line asked for, resolved: options with their origins, the recipe, the output folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr_core import paths, recipe
from zephyr_core.errors import UsageError
from zephyr_core.options import flag_values
from zephyr_core.recipe import Recipe, Resolved
from zephyr_train.options import OF_STEP, StepOptions, StudentOptions


@dataclass(frozen=True)
class TrainRequest:
    """One command of `zephyr train`."""

    step: str
    recipe: Recipe
    resolved: Resolved[StepOptions]
    student: StudentOptions
    out: Path
    resume: bool
    fresh: bool

    @classmethod
    def typed(cls, step: str, parameters: dict[str, Any]) -> "TrainRequest":
        """Return what a command's parameters ask for; those named like an option of the step are its flags."""
        kind, loaded = OF_STEP[step], parameters["recipe"]
        resume, fresh = bool(parameters.get("resume")), bool(parameters.get("fresh"))
        if resume and fresh:
            raise UsageError("--resume and --fresh contradict each other", "leave both out: a stopped run is continued")
        return cls(
            step,
            loaded,
            recipe.resolve(step, kind, loaded, flag_values(kind, parameters)),
            recipe.resolve("student", StudentOptions, loaded).options,
            Path(parameters.get("out") or paths.run_directory(loaded.name, step)).absolute(),
            resume,
            fresh,
        )

    @property
    def options(self) -> StepOptions:
        """Return the options of the step."""
        return self.resolved.options
