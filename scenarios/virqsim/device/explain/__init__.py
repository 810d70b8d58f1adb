"""What an operation did, in words: decoded from the registers, and from the state before and after."""

from .explainer import Explainer

__all__ = ["Explainer"]
