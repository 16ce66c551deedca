"""A traced function as straight-line NumPy code: expressions of operations, statements, and the functions they call."""
