"""Suites: runs made on one machine or many, one store of their results, and statistics, tables and figures of them."""
