"""`kontext-lab demo`: a small sweep on a real photograph, from nothing to a grid and what came out, with simulated pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kontext_lab.cli.output import FAILED, OK, say
from kontext_lab.cli.run import exit_code, run_and_wait, tell, tell_undelivered
from kontext_lab.cli.signals import stop_signals
from kontext_lab.errors import ConfigError, KontextLabError
from kontext_lab.images.samples import sample
from kontext_lab.results import Results, checked_folder
from kontext_lab.sweep import Sweep

if TYPE_CHECKING:
    from kontext_lab.lab import Lab

__all__ = ["run_demo"]

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


def run_demo(out: Path) -> int:
    """Run the demo in a folder; returns the exit code.

    Raises:
        ConfigError: the folder can't be written.
    """
    checked_folder(out)
    sweep = Sweep.from_yaml(_prepared(out))
    from kontext_lab.lab import Lab  # noqa: PLC0415 - heavy, so after what can be wrong with the words

    with Lab("sandbox") as lab:
        say("Simulated pictures: the sandbox on this machine answers, nothing is paid, no key is used.")
        plan = lab.plan(sweep)
        say(plan)
        results = run_and_wait(lab, plan)
        tell(results, lab)
        shown = _shown(results, lab, out)
        tell_undelivered(results)
    code = exit_code(results, stop_signals().first)
    return FAILED if code == OK and not shown else code


def _shown(results: Results, lab: Lab, out: Path) -> bool:
    """Draw what came, and say what is where; a picture that can't be had back costs a line."""
    try:
        _show(results, lab, out)
    except KontextLabError as error:
        say(f"  not drawn: {error}", err=True)
        return False
    return True


def _show(results: Results, lab: Lab, out: Path) -> None:
    from kontext_lab.figures import effects  # noqa: PLC0415 - as above

    figure, plot, file = out / "grid.png", out / "effects.png", out / "sweep.yaml"
    _draw(results, figure)
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


def _draw(results: Results, file: Path) -> None:
    """All three axes at once, as the demo leaves them; whatever a person made of them otherwise."""
    from kontext_lab.figures import grid  # noqa: PLC0415 - as above

    as_made = {"guidance_scale", "animal", "seed"} == set(results.axes)
    nested: dict[str, Any] = {"rows": "guidance_scale", "columns": ["animal", "seed"]} if as_made else {}
    grid(results, **nested).savefig(file)


def _prepared(out: Path) -> Path:
    """The folder with the photograph and the sweep file; what is there already is left as it is."""
    file, photograph = out / "sweep.yaml", out / "coffee.png"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not photograph.exists():
            photograph.write_bytes(sample("coffee").png)
        if not file.exists():
            # As the bytes that its name has: those of a locale without UTF-8 are no letters to Python.
            path = os.fsencode(file).decode("utf-8", "replace")
            file.write_text(SWEEP_YAML.format(path=path), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out}: can't be written: {error.strerror}") from None
    return file
