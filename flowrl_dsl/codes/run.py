"""FRL04xx: a run that cannot start, continue or be displayed.  The command line exits with 3 after such an error."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code

CODES = (
    Code(
        "FRL0401",
        "unknown task",
        "A task PREFIX/NAME belongs to the world registered as PREFIX, by this package or by a plugin; all others are ids "
        "of Gymnasium.  The world has no task of this name, or no world has this prefix.",
        "flowrl-dsl train qsm --task HalfCheeta-v5",
        "Use the name in the hint.  A task of another package is written package:Name-v0; one of "
        "DeepMind Control is written dm_control/cartpole-swingup.",
    ),
    Code(
        "FRL0402",
        "actions are not continuous",
        "The policies of this language output real vectors.  The actions of this task are discrete, integers or composite.",
        "flowrl-dsl train qsm --task CartPole-v1",
        "Choose a task with continuous actions (Pendulum-v1, InvertedPendulum-v5), or wrap the task accordingly.",
    ),
    Code(
        "FRL0403",
        "actions without finite bounds",
        "Actions in [-1, 1] are rescaled to the bounds of the task; this task has an infinite bound.",
        "flowrl-dsl train qsm --task dm_control/lqr-lqr_2_1",
        "Wrap the task in gymnasium.wrappers.RescaleAction or give its action space finite bounds.",
    ),
    Code(
        "FRL0404",
        "observations cannot be flattened",
        "Networks take one vector of numbers, of the same length in all steps.  Graphs, sequences and texts have no fixed "
        "length; or the task returned an observation of another shape than its observation space.",
        "flowrl-dsl train qsm --task mine:SequenceOfThings-v0",
        "Wrap the task so that it observes a Box, or a Dict or Tuple of them, and returns what its space declares.",
    ),
    Code(
        "FRL0405",
        "the task failed",
        "The code of the task raised an exception while it was made, reset or stepped, or a package that it needs is "
        "not installed.  The message is that of the exception.",
        "flowrl-dsl train qsm --task LunarLanderContinuous-v3",
        "Install the package in the message, or fix the task at the place in the note.",
    ),
    Code(
        "FRL0406",
        "the task gave values that are not finite",
        "An observation or a reward was infinite or NaN, or the simulation became unstable.  Training on it "
        "would destroy the networks.",
        "flowrl-dsl train qsm --task mine:Exploding-v0",
        "Fix the task; in MuJoCo a smaller time step or stronger damping helps.",
    ),
    Code(
        "FRL0408",
        "the task cannot be made with these arguments",
        "`--env NAME=VALUE` is a constructor argument of the task.  The task has none of this name, or its constructor "
        "raised an exception for the value.",
        "flowrl-dsl train qsm --task Hopper-v5 --env frame_skp=2",
        "Use a name in the note, with a value of the type of its default.",
    ),
    Code(
        "FRL0409",
        "the task breaks its interface",
        "`reset` returns (observation, info) and `step` returns (observation, reward, terminated, truncated, info), where a "
        "reward is one number and the two ends are true or false; a task has an observation and an action space.  "
        "Tasks written for gym before 0.26 differ.",
        "flowrl-dsl train qsm --task mine:OfOldGym-v0",
        "Change the task at the file in the note, or wrap it.",
    ),
    Code(
        "FRL0410",
        "cannot write",
        "The operating system refused to write: the disk is full, the folder is read-only or belongs to someone else.  "
        "Files written before are complete.",
        "flowrl-dsl train qsm --out /proc/run",
        "Free some space or choose a folder with --out; `flowrl-dsl resume` continues an existing run.",
    ),
    Code(
        "FRL0411",
        "not a run folder",
        "A run folder contains run.json, resolved.flowrl and a copy of the spec, as `train` wrote them.  In this one a file "
        "is missing, was changed, or leads out of the folder, or `train` was killed before it was complete.",
        "flowrl-dsl resume /tmp",
        "Use the folder printed by `train` at its start.",
    ),
    Code(
        "FRL0412",
        "no usable checkpoint",
        "The run has no checkpoint yet, all of them are damaged, `train` did not write the newest one, or metrics.jsonl has "
        "been shortened since.",
        "flowrl-dsl eval runs/qsm/Ant-v5/seed0",
        "Let the run reach its first checkpoint, or start a new run.",
    ),
    Code(
        "FRL0413",
        "the checkpoint belongs to another program",
        "Names, shapes or types of the saved arrays differ from those of the program built from the spec: another version "
        "of flowrl-dsl wrote them, or files were mixed up.",
        "flowrl-dsl resume runs/from-an-older-version",
        "Resume with the version in run.json.",
    ),
    Code(
        "FRL0414",
        "the run folder is not empty",
        "Runs are never overwritten: a new run needs a new or an empty folder.",
        "flowrl-dsl train qsm --out .",
        "Choose another --out, or continue the existing run with `flowrl-dsl resume`.",
    ),
    Code(
        "FRL0415",
        "another process is training in this folder",
        "Two processes writing the same checkpoints would corrupt them.",
        "flowrl-dsl resume runs/qsm/Ant-v5/seed0 & flowrl-dsl resume runs/qsm/Ant-v5/seed0",
        "Wait for the other one, or stop it.  A killed process leaves no lock.",
    ),
    Code(
        "FRL0416",
        "the spec no longer means what it did",
        "The copy of the spec in the run folder now resolves differently: it was edited, or this version has "
        "other defaults or other shipped specs than the one that started the run.",
        "flowrl-dsl resume runs/from-an-older-version",
        "Undo the edit, or use the version in run.json.  A changed spec needs a new run.",
    ),
    Code(
        "FRL0417",
        "a sweep would need several programs",
        "A population runs one compiled program, with temperatures, rates and other numbers as inputs.  This option "
        "changes the program itself, like the numbers of steps, layers or actions.",
        "flowrl-dsl train qsm --sweep policy.sampler.steps=5,20",
        "Start one run per value with --set; `flowrl-dsl plot` plots them together.",
    ),
    Code(
        "FRL0418",
        "the checkpoint has another format",
        "The layout of checkpoints changed between versions of flowrl-dsl; a run must continue with its original layout "
        "to stay exact.",
        "flowrl-dsl resume runs/begun-with-0.1",
        "Resume with the version in the message, or start a new run.",
    ),
    Code(
        "FRL0419",
        "a number is beyond reason",
        "Counts are below 2^53, and at most 65536 copies of a task are stepped side by side in a training or an evaluation. "
        " In Python they are integers.",
        "flowrl-dsl train qsm --envs 1_000_000_000",
        "Use the smaller number that was meant.",
    ),
    Code(
        "FRL0420",
        "an update was not finite",
        "A loss or a gradient was infinite or NaN.  The run stopped before a checkpoint could contain the damage; "
        "the place in the spec is that of the first non-finite node.",
        "flowrl-dsl train qsm --set policy.optimizer.learning_rate=1e6",
        "Look at the node: a temperature or a rate is often too large or too small.  nonfinite/ in the run folder contains "
        "the state and the batch; `flowrl-dsl diagnose RUN` replays the update.",
    ),
    Code(
        "FRL0421",
        "the policy gave an action that is not finite",
        "All updates were finite, but the action for this observation is infinite or NaN.",
        "flowrl-dsl train mine.flowrl",
        "Look at the sampler: too few steps or too large a step can overflow.",
    ),
    Code(
        "FRL0422",
        "nothing to diagnose",
        "`diagnose` replays the update that stopped a run with FRL0420; this run has none.",
        "flowrl-dsl diagnose runs/qsm/Ant-v5/seed0",
        "Name a run that stopped with FRL0420.",
    ),
    Code(
        "FRL0423",
        "not enough memory",
        "An array of the program, or the replay buffer, is larger than the free memory of the device.  "
        "`flowrl-dsl compile` shows the requirements of a step: its state and its working memory.",
        "flowrl-dsl train qsm --set train.batch=100_000_000",
        "Reduce the largest of batch, particles, reverse samples, network widths, ensemble members and replay.",
    ),
    Code(
        "FRL0424",
        "JAX is set up for something else",
        "A setting of JAX changes what operations compute or whether they are allowed (64-bit numbers, other random keys, "
        "strict promotion), or JAX has no device.",
        "JAX_ENABLE_X64=1 flowrl-dsl train qsm",
        "Unset the variable in the message for this command.",
    ),
    Code(
        "FRL0425",
        "the run has lost its checkpoints",
        "The run has records that were written after a checkpoint, but every checkpoint is damaged or gone.  Beginning "
        "again replaces the records.",
        "flowrl-dsl resume runs/with-damaged-checkpoints",
        "Restore the folder checkpoints/ from a copy, or begin again with `flowrl-dsl resume RUN --restart`.",
    ),
    Code(
        "FRL0426",
        "the run cannot have this number of steps",
        "`resume --steps` extends a run so that it continues as one that had the greater number from its start.  A smaller "
        "number would cut records off, and a sampling with one priority per row of the replay would draw other rows.",
        "flowrl-dsl resume runs/qsm/Ant-v5/seed0 --steps 10",
        "Use a greater number, or start a new run.",
    ),
    Code(
        "FRL0427",
        "too few files may be open",
        "Each run of a population keeps its lock, its records and its TensorBoard file open; the system allows this process "
        "fewer.",
        "(ulimit -n 64; flowrl-dsl train qsm --seeds 40)",
        "Raise the limit with `ulimit -n`, or train fewer runs at a time.",
    ),
    Code(
        "FRL0428",
        "the run cannot be split among so many devices",
        "`--devices` splits the environments of a world of pure JAX functions, and the rows of the replay, into equal "
        "parts, one for each of so many devices that JAX has.",
        "flowrl-dsl train ppo --task playground/CartpoleBalance --envs 10 --devices 4",
        "Choose `--envs`, and the size of the replay, as multiples of the number of devices, or fewer devices.",
    ),
    Code(
        "FRL0429",
        "the policy of a run does not fit",
        "`--begin RUN` takes the parameters of the policy that acts in an earlier run.  The policy that begins with them "
        "needs the same backbone and network, the same sizes of observations and actions, and observations that are "
        "normalised in the same way, whose moments are taken too.",
        "flowrl-dsl train dppo --begin runs/bc/Hopper-v5/seed0 --task Ant-v5",
        "Use the options in the notes.  Samplers and optimizers may differ.",
    ),
    Code(
        "FRL0431",
        "no evaluations to draw",
        "A learning curve needs evaluations: at least one in each run, and at the same steps in runs that differ only in "
        "their seed.",
        "flowrl-dsl plot runs/just-begun",
        "Wait for the first evaluation, or plot the runs one by one.",
    ),
    Code(
        "FRL0432",
        "unknown kind of picture",
        "The suffix of the file name selects the format.",
        "flowrl-dsl plot runs/qsm/Ant-v5/seed0 -o curve.txt",
        "Use the suffix .png, .pdf or .svg.",
    ),
    Code(
        "FRL0433",
        "unknown entry of the observation",
        "The observation of this task is a dictionary, and a section of the spec names an entry that it lacks.",
        "flowrl-dsl train ppo --task playground/CartpoleBalance --set policy.observation=stat",
        "Use a name in the note, or several as a list: observation = [state, contacts].",
    ),
    Code(
        "FRL0434",
        "the observation has no entries",
        "A section of the spec names entries of the observation that it reads, but the observation of this task is one "
        "vector, not a dictionary; or no task is named, and the spec names more entries than there are components.",
        "flowrl-dsl train sac --task Pendulum-v1 --set policy.observation=state",
        "Choose a task whose observations are dictionaries, or leave the option out.",
    ),
    Code(
        "FRL0407",
        "a plugin cannot be imported",
        "An installed package declares components by an entry point of the group "
        "flowrl_dsl.components, and importing its module failed.  Without it the set of components is unknown.",
        "flowrl-dsl check mine.flowrl",
        "Fix the module at the place in the note, or uninstall the package.",
    ),
    Code(
        "FRL0441",
        "Weights & Biases cannot log this run",
        "There is no key for it, no network, or the project belongs to someone else.  The message is that of wandb.",
        "flowrl-dsl train qsm --wandb my-project",
        "`wandb login`, or set WANDB_MODE=offline; then `flowrl-dsl resume` the run.",
    ),
)
