"""A language and compiler for reinforcement learning with diffusion and flow policies."""

__version__ = "0.1.0"
