"""FRL04xx: a run that cannot start, go on or be shown.  The command line exits with 3 after one of them."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code

CODES = (
    Code(
        "FRL0401",
        "unknown task",
        "A task PREFIX/NAME belongs to the world registered as PREFIX, by this package or by a plugin; all others are ids "
        "of Gymnasium.  The world has no task of this name, or no world has this prefix.",
        "flowrl-dsl train qsm --task HalfCheeta-v5",
        "Take the name that the hint offers.  A task of a package of your own is written package:Name-v0; one of "
        "DeepMind Control is written dm_control/cartpole-swingup.",
    ),
    Code(
        "FRL0402",
        "actions are not continuous",
        "The policies of this language give vectors of real numbers.  The task takes something else: a choice among "
        "a few actions, whole numbers, or a composite.",
        "flowrl-dsl train qsm --task CartPole-v1",
        "Choose a task with continuous actions (Pendulum-v1, InvertedPendulum-v5), or wrap yours so that it has them.",
    ),
    Code(
        "FRL0403",
        "actions without finite bounds",
        "Actions in [-1, 1] are rescaled to the bounds of the task; this task has an infinite one.",
        "flowrl-dsl train qsm --task dm_control/lqr-lqr_2_1",
        "Wrap the task in gymnasium.wrappers.RescaleAction or give its action space finite bounds.",
    ),
    Code(
        "FRL0404",
        "observations cannot be flattened",
        "Networks read one vector of numbers.  Graphs, sequences and texts have no fixed length.",
        "flowrl-dsl train qsm --task mine:SequenceOfThings-v0",
        "Wrap the task so that it observes a Box, or a Dict or Tuple of them.",
    ),
    Code(
        "FRL0405",
        "the task failed",
        "The code of the task raised an exception while it was made, reset or stepped, or a package that it needs is "
        "not installed.  The message is the task's own.",
        "flowrl-dsl train qsm --task LunarLanderContinuous-v3",
        "Install what the message asks for, or mend the task at the place that the note names.",
    ),
    Code(
        "FRL0406",
        "the task gave values that are not finite",
        "An observation or a reward was infinite or not a number, or the simulation became unstable.  Learning from it "
        "would spoil the networks.",
        "flowrl-dsl train qsm --task mine:Exploding-v0",
        "Mend the task; in MuJoCo a smaller time step or stronger damping helps.",
    ),
    Code(
        "FRL0410",
        "cannot write",
        "The operating system refused to write: the disk is full, the folder is read-only or belongs to someone else.  "
        "What was written before is whole.",
        "flowrl-dsl train qsm --out /proc/run",
        "Free some space or choose a folder with --out; `flowrl-dsl resume` goes on with a run that had begun.",
    ),
    Code(
        "FRL0411",
        "not a run folder",
        "A run folder holds run.json, resolved.flowrl and a copy of the spec.  This one does not, or `train` was killed "
        "before it had written them.",
        "flowrl-dsl resume /tmp",
        "Name the folder that `train` printed when it began.",
    ),
    Code(
        "FRL0412",
        "no usable checkpoint",
        "The run has no checkpoint yet, all of them are damaged, or metrics.jsonl has been shortened since.",
        "flowrl-dsl eval runs/qsm/Ant-v5/seed0",
        "Let the run reach its first checkpoint, or begin it anew.",
    ),
    Code(
        "FRL0413",
        "the checkpoint belongs to another program",
        "Names, shapes or types of the saved arrays are not those of the program built from the spec: another version "
        "of flowrl-dsl wrote it, or files were mixed up.",
        "flowrl-dsl resume runs/from-an-older-version",
        "Resume with the version that run.json names.",
    ),
    Code(
        "FRL0414",
        "the run folder is not empty",
        "Nothing is ever overwritten: a new run begins in a new or an empty folder.",
        "flowrl-dsl train qsm --out .",
        "Choose another --out, or go on with the run that is there by `flowrl-dsl resume`.",
    ),
    Code(
        "FRL0415",
        "another process is training in this folder",
        "Two processes that write the same checkpoints would spoil them.",
        "flowrl-dsl resume runs/qsm/Ant-v5/seed0 & flowrl-dsl resume runs/qsm/Ant-v5/seed0",
        "Wait for the other one, or stop it.  A process that was killed leaves no lock behind.",
    ),
    Code(
        "FRL0416",
        "the spec no longer means what it did",
        "The copy of the spec in the run folder now resolves to something else: it was edited, or this version has "
        "other defaults or other shipped specs than the one that began the run.",
        "flowrl-dsl resume runs/from-an-older-version",
        "Undo the edit, or use the version that run.json names.  A changed spec is a new run.",
    ),
    Code(
        "FRL0417",
        "a sweep would need several programs",
        "A population runs one compiled program, to which temperatures, rates and other numbers are inputs.  This option "
        "shapes the program itself, as numbers of steps, layers or actions do.",
        "flowrl-dsl train qsm --sweep policy.sampler.steps=5,20",
        "Start a run for each value, with --set; `flowrl-dsl plot` draws them together.",
    ),
    Code(
        "FRL0418",
        "the checkpoint has another format",
        "The layout of checkpoints changed between versions of flowrl-dsl; a run goes on with the layout it began with, so "
        "that it stays exact.",
        "flowrl-dsl resume runs/begun-with-0.1",
        "Resume with the version that the message names, or begin the run anew.",
    ),
    Code(
        "FRL0420",
        "an update was not finite",
        "A loss or a gradient was infinite or not a number.  The run stopped before a checkpoint could hold the damage; "
        "the place in the spec is the first node whose value was not finite.",
        "flowrl-dsl train qsm --set policy.optimizer.learning_rate=1e6",
        "Look at the node: a temperature or a rate is often too large or too small.  nonfinite/ in the run folder has "
        "the state and the batch; `flowrl-dsl diagnose RUN` looks at them again.",
    ),
    Code(
        "FRL0421",
        "the policy gave an action that is not finite",
        "No update was at fault, but the action for this observation is infinite or not a number.",
        "flowrl-dsl train mine.flowrl",
        "Look at the sampler: too few steps or too large a step can overflow.",
    ),
    Code(
        "FRL0422",
        "nothing to diagnose",
        "`diagnose` looks again at the update that stopped a run with FRL0420; this run has none.",
        "flowrl-dsl diagnose runs/qsm/Ant-v5/seed0",
        "Name a run that FRL0420 stopped.",
    ),
    Code(
        "FRL0423",
        "not enough memory",
        "An array of the program, or the replay buffer, is larger than the memory that is left on the device.  "
        "`flowrl-dsl compile` says what a step needs: its state and its working memory.",
        "flowrl-dsl train qsm --set train.batch=100_000_000",
        "Make smaller what is largest: batch, particles, reverse samples, widths of networks, members of the ensemble, "
        "replay.",
    ),
    Code(
        "FRL0431",
        "no evaluations to draw",
        "A learning curve needs evaluations: at least one in each run, and at the same steps in runs that differ only in "
        "their seed.",
        "flowrl-dsl plot runs/just-begun",
        "Wait for the first evaluation, or draw the runs one by one.",
    ),
    Code(
        "FRL0432",
        "unknown kind of picture",
        "The name of the picture decides how it is written.",
        "flowrl-dsl plot runs/qsm/Ant-v5/seed0 -o curve.txt",
        "End the name in .png, .pdf or .svg.",
    ),
    Code(
        "FRL0407",
        "a plugin cannot be imported",
        "A package that is installed beside this one announces components by an entry point of the group "
        "flowrl_dsl.components, and importing its module failed.  Nothing can be checked while it is unknown what there is.",
        "flowrl-dsl check mine.flowrl",
        "Mend the module at the place that the note names, or uninstall the package.",
    ),
    Code(
        "FRL0440",
        "Weights & Biases is not installed",
        "Logging to it is an extra, because it is a large package that few runs need.",
        "flowrl-dsl train qsm --wandb my-project",
        "pip install 'flowrl-dsl[wandb]', or leave --wandb out.",
    ),
)
