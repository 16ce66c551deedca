"""Where the runs of a suite are executed: one file for each place, behind the interface of ``base.py``."""
