"""Property tests of specs and of compiled graphs, for this package's components and for anybody's own.

:mod:`~flowrl_dsl.testing.strategies` draws valid specs over all registered components, formulas, batches and settings;
:mod:`~flowrl_dsl.testing.invariants` checks what must hold for each of them.  Both need the package ``hypothesis``.
"""
