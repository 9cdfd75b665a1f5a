"""Arguments of a model's constructor: from the settings of a run to values of the types that its signature names."""

from collections.abc import Mapping
from typing import Any

from tfcore import checks, config_values, model_args
from tfcore.build.signatures import Argument, Signature
from tfcore.config import MODEL_SIZES, RunConfig
from tfcore.errors import ConfigError

FROM_RUN = ("pixels", "seed", "dtype")  # given by name, after the shape of the images and the number of classes
_POSITIONAL = 2


def given(config: RunConfig) -> dict[str, Any]:
    """The size flags that are given, and the arguments in --model_args, by name.

    Raises:
        ConfigError: an argument that both give.
    """
    sizes = {name: getattr(config, name) for name in MODEL_SIZES if getattr(config, name) is not None}
    others = {name: model_args.literal(text) for name, text in model_args.parse(str(config.model_args)).items()}
    for name in sizes.keys() & others.keys():
        raise ConfigError(f"--{name} and --model_args both give {name}. Leave one out.")
    return sizes | others


def fitting(model: str, values: Mapping[str, Any], taken: Signature) -> dict[str, Any]:
    """The values in the types of the model's signature.

    Args:
        model: its name, for the message.
        values: by name, as `given` has them or as they were read from a file.
        taken: what the model's constructor takes.

    Raises:
        ConfigError: an argument that the model does not take, lacks, or takes of another type.
    """
    of_run = {*taken.positional[:_POSITIONAL], *FROM_RUN}
    own = {name: argument for name, argument in taken.arguments.items() if name not in of_run}
    for name in values:
        if name in of_run:
            raise ConfigError(f"--model_args: {name} is given by the run itself. Leave it out.")
        if name not in own and not taken.takes_any:
            raise ConfigError(_refusal(model, name, own))
    missing = [name for name, argument in own.items() if argument.is_required and name not in values]
    if missing:
        raise ConfigError(f"--model={model} needs {', '.join(missing)}. Give --model_args={missing[0]}=VALUE.")
    return {name: _typed(f"--model={model}: {name}", value, own.get(name)) for name, value in values.items()}


def _refusal(model: str, name: str, own: Mapping[str, Argument]) -> str:
    if name in MODEL_SIZES:
        return f"--model={model} takes no --{name}. Leave it out, or choose a model that does."
    known = f"Its arguments are {', '.join(own)}." if own else "It has no arguments."
    return f"--model={model} takes no {name} in --model_args. {known}{checks.nearest(name, own)}"


def _typed(name: str, value: Any, argument: Argument | None) -> Any:
    """The value as the argument's kind; as it is where the signature does not name one."""
    kind = argument.kind if argument is not None else None
    if kind is None or (kind.optional and value is None):
        return value
    text = value if isinstance(value, str) else model_args.respelled(value)
    return config_values.read(name, text, kind, model_args.SEPARATOR)
