"""Support for editors: what a text means at a place, as plain data, and the language server (:mod:`server`)."""
