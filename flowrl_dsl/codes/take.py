"""FRL0490 to FRL0499: policies that are taken away, searches, and folders of runs and projects."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code

CODES = (
    Code(
        "FRL0490",
        "the acting function has no form in this format",
        "An export contains the sampler, the critic where actions are chosen by it, and the random draws as inputs.  The "
        "format, or the library that converts to it, lacks an operation of this one; or the converted function was tried "
        "and did not act as the policy does.",
        "flowrl-dsl export runs/mine/Hopper-v5/seed0 --format onnx",
        "Use --format numpy or stablehlo.",
    ),
    Code(
        "FRL0491",
        "an optional library is not installed",
        "The command needs a library that the package itself does not.  Each such library is an extra.",
        "flowrl-dsl search qsm --task Hopper-v5 --range temperature=0.01..1:log",
        "Run the pip command in the note.",
    ),
    Code(
        "FRL0492",
        "a run that is in progress cannot be removed",
        "A process holds the lock of the run folder.  No folder was removed.",
        "flowrl-dsl runs --prune --yes",
        "Wait for the run or stop it, or leave it out with --where state=stopped.",
    ),
    Code(
        "FRL0493",
        "a search without ranges, or another search in its folder",
        "A search needs a finite range for every value: one declared by `param NAME = VALUE in [LOW, HIGH]`, or one given "
        "by --range.  Its folder contains one study; a repeated command continues it, with the same spec, task, ranges and "
        "settings, and as many trials as wanted.",
        "flowrl-dsl search td3 --task Hopper-v5",
        "Write --range NAME=LOW..HIGH, or choose another folder with --out.",
    ),
    Code(
        "FRL0494",
        "what was passed as environment cannot be used as one",
        "`train` takes the id of a task, an environment of Gymnasium, or a function that makes one.  Training and "
        "evaluation use copies of an environment, made by copy.deepcopy; one that holds a thread or a socket has none.",
        'flowrl_dsl.train("td3", env_with_a_socket)',
        'Pass a function: flowrl_dsl.train("td3", lambda: MyEnv(port=0)).',
    ),
    Code(
        "FRL0495",
        "the folder cannot become a project",
        "`init` writes into a new or empty folder, and names the algorithm as the folder.",
        "flowrl-dsl init param",
        "Choose a new folder whose name consists of letters, digits, - and _, and is no word of the language.",
    ),
)
