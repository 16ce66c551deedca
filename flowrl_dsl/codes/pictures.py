"""FRL048x: pictures and pages of runs that cannot be made.  The command line exits with 3 after such an error."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code

CODES = (
    Code(
        "FRL0480",
        "a picture needs a package that is not installed",
        "Films as mp4 are written by the encoder of imageio-ffmpeg, and tasks of classic control and Box2D draw with "
        "pygame.  Both are in the extra `video`, because training needs neither.",
        "flowrl-dsl video runs/qsm/Pendulum-v1/seed0 -o film.mp4",
        "pip install 'flowrl-dsl[video]'; a film as .gif needs no encoder.",
    ),
    Code(
        "FRL0481",
        "no renderer",
        "MuJoCo draws with OpenGL, by EGL (a graphics card or Mesa), OSMesa (the processor) or, with a display, GLFW.  "
        "Each was tried and drew nothing; or the one that the variable MUJOCO_GL names did.",
        "MUJOCO_GL=glfw flowrl-dsl video runs/qsm/Hopper-v5/seed0",
        "apt-get install libosmesa6 libegl1 installs two that need no display; unset MUJOCO_GL.",
    ),
    Code(
        "FRL0482",
        "the task has no pictures",
        "A film needs a task that can draw its state: one of Gymnasium with the mode rgb_array among its `render_modes`, "
        "one of DeepMind Control, or one of a world whose kind has a method `film`.",
        "flowrl-dsl video runs/qsm/brax_ant/seed0",
        'Give the task `metadata = {"render_modes": ["rgb_array"]}` and a method `render` that returns an array.',
    ),
    Code(
        "FRL0483",
        "the runs have no such metric",
        "Metrics are the names in metrics.jsonl: returns of evaluations (return_mean), losses, norms of gradients, and "
        "parameters that change.  The algorithm decides which there are.",
        "flowrl-dsl plot runs/qsm/Hopper-v5/seed0 --metric critic_los",
        "Use a name in the hint.",
    ),
    Code(
        "FRL0484",
        "nothing to look at there",
        "`look` draws two components of the action, counted from 0, at states of one episode, or at observations in a file: "
        "an array of NumPy [n, O] with a row for each state.",
        "flowrl-dsl look runs/qsm/Swimmer-v5/seed0 --components 0,7",
        "Use components below the number in the message, steps below the length of the episode, or an array of this shape.",
    ),
    Code(
        "FRL0485",
        "the page cannot be served",
        "`report --watch` serves a page to this machine alone, at a port that another program may be using.",
        "flowrl-dsl report runs/qsm/Hopper-v5/seed0 --watch --port 80",
        "Choose another port with --port, or leave it out.",
    ),
)
