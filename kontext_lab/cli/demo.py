"""`kontext-lab demo`: a small sweep on a real photograph with simulated pictures, a grid and its findings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kontext_lab.cli.output import FAILED, OK, say
from kontext_lab.cli.run import exit_code, report_outcome, run_and_wait
from kontext_lab.errors import ConfigError, KontextLabError

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.results import Results

__all__ = ["demo"]

SWEEP_YAML = """\
# A sweep: fixed parameters, and axes that vary. Change it and run it again:
#   kontext-lab run {path} --sandbox     simulated pictures, free
#   kontext-lab run {path}               real pictures; needs AIMLAPI_API_KEY, asks before paying
# Cells that were paid for before are reused: add a seed, and only the new ones are sent.

name: demo
prompt: Add a {{animal}} to the foreground of the photo.
image: coffee.png            # a path (relative to this file) or a URL; `images: [a.png, b.png]` combines several

axes:                        # every combination is one request: 3 x 2 x 2 = 12
  guidance_scale: 2-8:3      # from 2 to 8 in steps of 3; or a list: [2, 5, 8]
  seed: [1, 2]               # replicates: all settings at the first seed, then at the second
  animal: [bird, crab]       # words for {{animal}} in the prompt
  # aspect_ratio: [1:1, 16:9]

# model: max                 # pro ($0.052 a picture) unless given
# output_format: png         # jpeg unless given
# safety_tolerance: 2        # 1 (strictest) to 6
# num_images: 2              # pictures per request
"""

_METRIC = "change/area"


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="kontext-lab-demo",
    help="Write the sweep file and the figures to a folder.",
)
def demo(out: Path) -> int:
    """Run a small sweep on the sandbox: simulated pictures, free, no key needed."""
    from kontext_lab.results import checked_folder
    from kontext_lab.sweep import Sweep

    checked_folder(out)
    sweep = Sweep.from_yaml(_prepared(out))
    from kontext_lab.lab import Lab  # heavy, so only once the arguments are known to be right

    with Lab("sandbox") as lab:
        say("Simulated pictures: the sandbox on this machine answers, nothing is paid, no key is used.")
        plan = lab.plan(sweep)
        say(plan)
        results = run_and_wait(lab, plan)
        report_outcome(results, lab)
        drawn = True
        try:
            _draw(results, lab, out)
        except KontextLabError as error:  # a picture that can't be loaded again
            say(f"  not drawn: {error}", err=True)
            drawn = False
        if results.undelivered_line:
            say(results.undelivered_line, err=True)
    code = exit_code(results)
    return FAILED if code == OK and not drawn else code


def _draw(results: Results, lab: Lab, out: Path) -> None:
    """Draw grid and effects, and print where everything is."""
    from kontext_lab.figures import effects, grid

    figure, plot, file = out / "grid.png", out / "effects.png", out / "sweep.yaml"
    # All three axes at once, unless a person has changed them.
    as_written = {"guidance_scale", "animal", "seed"} == set(results.axes)
    nested: dict[str, Any] = {"rows": "guidance_scale", "columns": ["animal", "seed"]} if as_written else {}
    grid(results, **nested).savefig(figure)
    study = effects(results, _METRIC)
    study.figure.savefig(plot)
    say(
        f"\ngrid     {figure}\neffects  {plot}\nsweep    {file}\nstore    {lab.context.tracker.store.shown}\n\nNext:"
    )
    commands = {
        f"kontext-lab run {file} --sandbox": "after changing it: only new cells are sent",
        "kontext-lab ui": "every call, its parameters and its picture in MLflow",
        f"kontext-lab export {results.run_id[:8]} {out / 'pictures'}": "the exact pictures as files",
    }
    width = max(len(command) for command in commands)
    for command, what in commands.items():
        say(f"  {command:<{width}}   {what}")
    say(f"\nHow much of each picture changed ({_METRIC}):")
    for sentence in study.sentences:
        say(f"  {sentence}")


def _prepared(out: Path) -> Path:
    """Write photograph and sweep file into the folder, unless they are there; returns the sweep file."""
    from kontext_lab.images.samples import sample

    file, photograph = out / "sweep.yaml", out / "coffee.png"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not photograph.exists():
            photograph.write_bytes(sample("coffee").png)
        if not file.exists():
            # From the bytes of the name: in a locale without UTF-8 Python has no letters for them.
            path = os.fsencode(file).decode("utf-8", "replace")
            file.write_text(SWEEP_YAML.format(path=path), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out}: can't be written: {error.strerror}") from None
    return file
