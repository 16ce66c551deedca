"""FRL045x and FRL046x: a data set that cannot be read or written.  The command line exits with 3 after such an error."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code

CODES = (
    Code(
        "FRL0450",
        "no such data set",
        "The source is neither a file nor a folder, and Minari has no data set of this id on this machine.  Data sets are "
        "not downloaded on their own.",
        "flowrl-dsl data mujoco/hopper/medium-v0",
        "Correct the path, or download the data set with `minari download ID`.  MINARI_DATASETS_PATH is Minari's folder.",
    ),
    Code(
        "FRL0451",
        "unknown format of a data set",
        "Data sets are read from Minari (HDF5 backend), from HDF5 with D4RL's keys, and from .npz files with OGBench's.  "
        "The contents of the file select the reader.  Pickles are never read: loading one can execute any code.",
        "flowrl-dsl data README.md",
        "Name a data set of one of these formats, or convert it: HDF5 with `observations`, `actions`, `rewards`, "
        "`terminals` and `timeouts`, one row per step, is enough.",
    ),
    Code(
        "FRL0452",
        "a library for data sets is not installed",
        "Reading HDF5 needs h5py; data sets of Minari need minari too.  Both are an optional extra.",
        "flowrl-dsl data hopper_medium-v2.hdf5",
        "pip install 'flowrl-dsl[data]'",
    ),
    Code(
        "FRL0453",
        "the data set is damaged",
        "The file is truncated, not readable, or its contents contradict its headers.  The message is that of the library.",
        "flowrl-dsl data half-downloaded.hdf5",
        "Copy or download the file again.",
    ),
    Code(
        "FRL0454",
        "the data set has another layout",
        "A key is missing, or an array has another shape or type than the format requires.  The message has the file, the "
        "key and what was expected.",
        "flowrl-dsl data without-rewards.hdf5",
        "Rename or reshape the array; docs/data.md lists the keys and shapes of each format.",
    ),
    Code(
        "FRL0455",
        "the data set has values that are not finite",
        "A row contains NaN, infinity, or a number that float32 cannot hold.  Training on it would destroy the networks.",
        "flowrl-dsl data exploded.hdf5",
        "Leave out the episodes with such rows, or correct how they were recorded.",
    ),
    Code(
        "FRL0456",
        "the data set belongs to another task",
        "Its observations or actions have another size than those of the task.",
        "flowrl-dsl data hopper_medium-v2.hdf5 --task HalfCheetah-v5",
        "Name the task that the data was recorded on.",
    ),
    Code(
        "FRL0457",
        "the data set refers to something outside of itself",
        "Links, virtual and external data of HDF5 can name any other file, and arrays of Python objects are pickles, "
        "which can execute code.  Neither is followed or loaded.",
        "flowrl-dsl data linked.hdf5",
        "Write the data into one file, as arrays of numbers.",
    ),
    Code(
        "FRL0458",
        "the data set does not fit into memory",
        "The sizes that the file declares add up to more than half of this machine's memory.  They are checked before "
        "anything is read, since a damaged or malicious file can declare any size.",
        "flowrl-dsl data humanoid.hdf5",
        "Use a machine with more memory, or a part of the data set.",
    ),
    Code(
        "FRL0459",
        "the data set cannot be used",
        "It contains no transitions, no rewards for an algorithm with a critic, no episode as long as the chunks of a "
        "policy, or its actions have no finite bounds by which they could be scaled to [-1, 1].",
        "flowrl-dsl data empty.hdf5",
        "Choose another data set; where bounds are missing, name the task with --task.",
    ),
    Code(
        "FRL0460",
        "not a name of a Minari data set",
        "Data sets of Minari have ids of words with slashes between them and a version at the end.",
        "flowrl-dsl collect runs/qsm/Hopper-v5/seed0 --steps 10_000 --out hopper",
        "Write the id as [NAMESPACE/]NAME-vNUMBER, such as mine/hopper-medium-v0.",
    ),
    Code(
        "FRL0461",
        "the data set exists",
        "Data sets are never overwritten: results refer to them by their id.",
        "flowrl-dsl collect runs/qsm/Hopper-v5/seed0 --steps 10_000 --out mine/hopper-medium-v0",
        "Choose another name or the next version; `minari delete ID` deletes a data set.",
    ),
    Code(
        "FRL0462",
        "no transitions in the replay",
        "The checkpoints of these runs contain no transitions, so that there is nothing to write.",
        "flowrl-dsl collect runs/just-begun --replay --out mine/replay-v0",
        "Collect with the policy instead: --steps N without --replay.",
    ),
    Code(
        "FRL0463",
        "runs of different tasks",
        "A data set has the observations and actions of one task, and one number of frames for which an action is held.",
        "flowrl-dsl collect runs/qsm/Hopper-v5/seed0 runs/qsm/Ant-v5/seed0 --steps 10_000 --out mine/both-v0",
        "Collect one data set per task.",
    ),
    Code(
        "FRL0464",
        "an algorithm and its data",
        "An algorithm with `regime = offline` learns from a data set, which --data names; so does one whose batches are "
        "partly drawn from a data set.  Any other may have one: its replay then begins as the data set.",
        "flowrl-dsl train iql --task HalfCheetah-v5",
        "Add --data SOURCE.",
    ),
    Code(
        "FRL0465",
        "the data set of a run has changed",
        "A run continues on the data set that it began with, byte for byte: its digest is in run.json.",
        "flowrl-dsl resume runs/iql/HalfCheetah-v5/seed0",
        "Restore the data set, or start a new run.",
    ),
    Code(
        "FRL0466",
        "no data set beside a replay",
        "Batches of a run that acts and has a data set are drawn from both.  A sampling that follows the order in which "
        "transitions were added cannot, nor can an algorithm that stores more with each step than a data set contains.",
        "flowrl-dsl train td7 --task HalfCheetah-v5 --data halfcheetah.hdf5",
        "Choose another sampling, such as --set train.sampling=uniform, or leave out --data.",
    ),
)
