"""Invariants of every spec and every compiled program, as checks that raise ``AssertionError`` with the reason.

Checks of texts take a text.  Checks of programs take a :class:`Trial`, which compiles a program once and caches the results
that the checks share::

    trial = invariants.trial(text)
    invariants.check_three_ways(trial)
    invariants.check_program(trial)    # all checks of programs
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flowrl_dsl.testing.influence import check_losses_touch_only_their_own, check_targets
from flowrl_dsl.testing.numbers import check_numbers_are_read
from flowrl_dsl.testing.running import (
    check_changed_number_does_not_recompile,
    check_checkpoint_restores,
    check_one_executable_no_callback,
    check_same_key_same_result,
    check_state_donated,
    check_update_is_repeated_step,
)
from flowrl_dsl.testing.symmetries import check_permutations, check_shifted_values
from flowrl_dsl.testing.texts import check_never_raises, check_parse_format, check_valid, resolve_text
from flowrl_dsl.testing.trees import assert_close, assert_equal
from flowrl_dsl.testing.trials import Trial, tiny, trial
from flowrl_dsl.testing.values import (
    check_finite,
    check_graph_text_round_trip,
    check_interpreted,
    check_passes_keep_values,
    check_printed,
    check_printed_for_reading,
    check_shapes,
    check_three_ways,
    check_weights,
)

Check = Callable[[Trial], None]

PROGRAM_CHECKS: tuple[Check, ...] = (
    check_graph_text_round_trip,
    check_numbers_are_read,
    check_one_executable_no_callback,
    check_finite,
    check_interpreted,
    check_printed,
    check_printed_for_reading,
    check_shapes,
    check_weights,
    check_shifted_values,
    check_permutations,
    check_losses_touch_only_their_own,
    check_targets,
    check_passes_keep_values,
    check_same_key_same_result,
    check_changed_number_does_not_recompile,
    check_state_donated,
    check_update_is_repeated_step,
    check_checkpoint_restores,
)


def check_program(trial: Trial, checks: Iterable[Check] = PROGRAM_CHECKS) -> None:
    """Run all checks of programs, or the given ones.  A failure names the check; ``trial.did`` counts the cases checked."""
    for check in checks:
        try:
            check(trial)
        except AssertionError as error:
            error.add_note(f"in {check.__name__}")
            raise
        trial.did[check.__name__] += 1


__all__ = [
    "PROGRAM_CHECKS",
    "Check",
    "Trial",
    "assert_close",
    "assert_equal",
    "check_changed_number_does_not_recompile",
    "check_checkpoint_restores",
    "check_finite",
    "check_graph_text_round_trip",
    "check_interpreted",
    "check_losses_touch_only_their_own",
    "check_never_raises",
    "check_numbers_are_read",
    "check_one_executable_no_callback",
    "check_parse_format",
    "check_passes_keep_values",
    "check_permutations",
    "check_printed",
    "check_printed_for_reading",
    "check_program",
    "check_same_key_same_result",
    "check_shapes",
    "check_shifted_values",
    "check_state_donated",
    "check_targets",
    "check_three_ways",
    "check_update_is_repeated_step",
    "check_valid",
    "check_weights",
    "resolve_text",
    "tiny",
    "trial",
]
