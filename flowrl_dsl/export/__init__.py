"""Policies for other programs: the acting function without the compiler, in the formats of this folder's files."""
