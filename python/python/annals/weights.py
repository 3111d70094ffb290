"""Tensors as bytes of safetensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from annals.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise UnsupportedError(
            "weights: a dict of tensors is stored as safetensors, which needs the packages "
            "safetensors and numpy: pip install safetensors numpy; or give bytes"
        ) from error
    return safetensors.numpy


def _array(name: str, tensor: Any) -> np.ndarray:
    """A tensor as an array whose elements lie side by side, copied from a GPU if need be."""
    import numpy as np

    for step in ("detach", "cpu"):
        if callable(getattr(tensor, step, None)):
            tensor = getattr(tensor, step)()
    if str(getattr(tensor, "dtype", "")) == "torch.bfloat16":
        raise InvalidInputError(
            f"weights: {name} is bfloat16, which numpy has no type for; give .float(), or the "
            "bytes of safetensors.torch.save(state)"
        )
    array = np.asarray(tensor)
    if array.dtype.hasobject:
        raise InvalidInputError(
            f"weights: {name} is no tensor but {type(tensor).__name__}; give bytes, a path, or a "
            "dict from name to array"
        )
    # safetensors writes the memory as it lies.
    return np.ascontiguousarray(array).reshape(array.shape)


def to_safetensors(weights: Any) -> bytes:
    """The bytes of an object with `state_dict`, or of a dict from name to array or tensor.

    Raises InvalidInputError for anything else, UnsupportedError without the package safetensors.
    """
    if callable(getattr(weights, "state_dict", None)):
        weights = weights.state_dict()
    if not isinstance(weights, Mapping):
        raise InvalidInputError(
            "weights: expected bytes, a path, an object with state_dict, or a dict from name to "
            f"array, got {type(weights).__name__}"
        )
    module = _safetensors()
    arrays = {}
    for name, tensor in weights.items():
        if not isinstance(name, str):
            raise InvalidInputError(
                f"weights: expected a str as the name of a tensor, got {type(name).__name__}"
            )
        arrays[name] = _array(name, tensor)
    return module.save(arrays)


def from_safetensors(weights: bytes) -> dict[str, np.ndarray]:
    """The arrays in bytes of safetensors.

    Raises InvalidInputError for bytes of another kind, UnsupportedError without the package.
    """
    module = _safetensors()
    try:
        return module.load(weights)
    except Exception as error:
        raise InvalidInputError(
            f"weights: these are no safetensors that numpy can hold: {error}"
        ) from error
