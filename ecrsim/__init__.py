"""Amazon ECR on your own machine: the ECR API, ECR Public and the registry protocol over one truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Ecrsim", "__version__"]

if TYPE_CHECKING:
    from ecrsim.server import Ecrsim


def __getattr__(name: str) -> Any:
    if name == "Ecrsim":
        # Only when it is asked for: the commands start 300 ms sooner without it.
        from ecrsim.server import Ecrsim

        return Ecrsim
    raise AttributeError(f"module 'ecrsim' has no attribute {name!r}")
