"""``flowrl-dsl video RUN``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.arguments import positive, seed, size
from flowrl_dsl.exits import OK

HELP = "film episodes of a trained policy"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", type=Path, metavar="RUN")
    command.add_argument("--episodes", type=positive, default=1, metavar="N", help="number of episodes (default 1)")
    help_text = "number of the first episode; 0 and those after it are the episodes of evaluations"
    command.add_argument("--seed", type=seed, default=0, metavar="N", help=help_text)
    command.add_argument("--steps", type=positive, metavar="N", help="film at most so many steps of an episode")
    help_text = "width and height of tasks of MuJoCo (default 480x480)"
    command.add_argument("--size", type=size, default=(480, 480), metavar="WxH", help=help_text)
    help_text = "mp4 or gif (default RUN/video.mp4, or .gif without the extra `video`)"
    command.add_argument("-o", dest="output", type=Path, metavar="FILE", help=help_text)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.filming import film

    path, played = film(parsed.run, parsed.output, parsed.episodes, parsed.seed, parsed.size, parsed.steps)
    for number, episode in enumerate(played, start=parsed.seed):
        print(
            f"episode {number} by the checkpoint of step {episode.checkpoint}: "
            f"return {episode.total:.1f} in {episode.length} steps"
        )
    print(path)
    return OK
