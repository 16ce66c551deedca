"""IsaacLab by its interface."""
