"""FRL050x: a suite that cannot run or go on, and results that cannot be read.  The command line exits with 3."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code

CODES = (
    Code(
        "FRL0500",
        "not a store of results",
        "The file is not an SQLite database, is damaged, or was written by another version of this package.",
        "flowrl-dsl suite table small --store README.md",
        "Name the file that `suite run` writes, runs/suites/results.sqlite if no other was chosen.",
    ),
    Code(
        "FRL0501",
        "the store cannot be used",
        "The disk is full, the file or its folder is read-only, or another process has held it for half a minute.  What was "
        "added before is complete; a run that has ended is added when the suite is run again.",
        "flowrl-dsl suite run small --store /proc/results.sqlite",
        "Free some space or choose another --store, and give the command again.",
    ),
    Code(
        "FRL0502",
        "no space for the runs of a suite",
        "A run could not write its folder.  The suite has stopped; every run has its last checkpoint.",
        "flowrl-dsl suite run gym_mujoco --out /tmp/suites",
        "Free some space and give the same command again.  `flowrl-dsl suite plan` prints the space that a suite takes.",
    ),
    Code(
        "FRL0503",
        "runs of a suite did not end",
        "Their process was killed several times, or stopped with an error that is not a result.  All others are recorded.",
        "flowrl-dsl suite run small",
        "Look at the reasons in the message and at log.txt in the folders of the runs; the same command tries them again.",
    ),
    Code(
        "FRL0504",
        "no results",
        "The store has no run of this suite with this budget.",
        "flowrl-dsl suite table gym_mujoco --budget smoke",
        "Run the suite, import results, or name the store and the budget that it was run with.",
    ),
    Code(
        "FRL0505",
        "a library for suites is not installed",
        "Ray, submitit, pyarrow and fsspec are optional extras; a file system of fsspec may need a package of its own.",
        "flowrl-dsl suite run small --on ray",
        "pip install 'flowrl-dsl[ray]', 'flowrl-dsl[slurm]', 'flowrl-dsl[parquet]' or 'flowrl-dsl[remote]'.",
    ),
    Code(
        "FRL0506",
        "a part of the suite cannot run here",
        "A task cannot be made, because a package is missing or its name is unknown; a data set is not here; or an "
        "algorithm learns from a data set and the suite names none.  Nothing has been started.",
        "flowrl-dsl suite run dm_control",
        "Install or make what the message names, or run the rest with --tasks, --specs and --data.",
    ),
    Code(
        "FRL0507",
        "results that cannot be imported",
        "A file of results has one JSON object a line, or is a Parquet file, as `suite export` writes them; or it has the "
        "records of docs/results.jsonl.",
        "flowrl-dsl suite import README.md",
        "Name an exported file.",
    ),
    Code(
        "FRL0508",
        "no such part of the suite",
        "--specs, --tasks, --data and --budget choose among what the suite has.",
        "flowrl-dsl suite run small --tasks Ant-v5",
        "Use a name in the hint.",
    ),
    Code(
        "FRL0509",
        "no place for the runs of a suite",
        "The cluster cannot be reached or did not accept the runs.",
        "flowrl-dsl suite run small --on ray --address 10.0.0.1:6379",
        "Start the cluster, or correct the address.",
    ),
    Code(
        "FRL0510",
        "another data set than that of the suite",
        "A run of a suite is identified by the digest of its data set.  The worker has found another one at the same place: "
        "the file was replaced after the suite was started, or the machine has one of its own.",
        "flowrl-dsl suite run offline --on ray",
        "Copy the data set of the machine that started the suite to the others, or start the suite again.",
    ),
    Code(
        "FRL0511",
        "a URL of runs cannot be used",
        "The place cannot be reached, refuses to be read or written, has an unknown protocol, or holds something else than "
        "runs.  A run that is being trained stops after its checkpoint; what the URL holds is complete.",
        "flowrl-dsl suite run small --out nope://bucket/runs",
        "Correct the URL or the credentials, or make the place reachable, and give the command again.",
    ),
    Code(
        "FRL0512",
        "another process has continued a run at a URL",
        "The place has a version of the run that this machine has neither fetched nor made: a machine that was taken for "
        "lost still trains, or the suite was started twice.  This process stops, the other one goes on.",
        "flowrl-dsl suite run small --out s3://bucket/runs",
        "Wait for the other process; where there is none, give the command again.",
    ),
    Code(
        "FRL0513",
        "an option that the place of the runs does not read",
        "Processes of this machine have no --cpus, --gpus and --address, a job of Slurm has whole accelerators, and only "
        "runs at a URL have a folder of --scratch.",
        "flowrl-dsl suite run small --gpus 1",
        "Leave the option out, or choose the cluster by --on.",
    ),
)
