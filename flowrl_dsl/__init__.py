"""A language and compiler for reinforcement learning with diffusion and flow policies."""

__version__ = "0.2.0"
