"""Reports: one page about runs, complete in itself, and the same page served while they go on."""
