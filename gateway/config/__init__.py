"""`config.toml`: read, overridden by the environment, checked whole."""

from gateway.config.load import load
from gateway.config.model import Config

__all__ = ["Config", "load"]
