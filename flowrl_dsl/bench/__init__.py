"""Speed, measured: one file for each kind of benchmark, and the report that they share.  docs/performance.md says how."""
