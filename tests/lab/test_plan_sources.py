"""What a plan says of pictures from elsewhere, and that a dry run fetches none of them."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kontext_lab as kl
from kontext_lab.cli.main import run_command
from kontext_lab.errors import ImageError
from kontext_lab.lab.plan import Plan
from kontext_lab.sandbox import Sandbox

GREY = np.full((4, 6, 3), 128, np.uint8)
DEADLINE = 60
SECRET = "pass-4711"


@pytest.fixture
def folders(workdir: Path) -> Path:
    """A folder `study` with pictures in it, beside it, at home, and links; returns its path."""
    study = workdir / "study"
    (study / "sub").mkdir(parents=True)
    (workdir / "far").mkdir()
    places = ("study/in.png", "study/sub/in.png", "out.png", "far/out.png", "home.png")
    for shade, place in enumerate(places, 10):
        Image.fromarray(GREY + shade).save(Path.home() / place if place == "home.png" else workdir / place)
    (study / "link-in.png").symlink_to("sub/in.png")
    (study / "link-out.png").symlink_to("../out.png")
    (study / "folder-out").symlink_to("../far")
    return study


def planned(folder: Path, text: str) -> Plan:
    """A plan of a sweep file in this folder, which decides nothing."""
    (folder / "sweep.yaml").write_text(f"prompt: x\n{text}\n")
    return Plan(kl.Sweep.from_yaml(folder / "sweep.yaml"), "sandbox", ())


INSIDE = [
    "in.png",
    "./in.png",
    "sub/in.png",
    "sub/../in.png",
    "{here}/in.png",
    "link-in.png",
    "file://{here}/in.png",
]
OUTSIDE = [
    ("../out.png", "{top}/out.png"),
    ("sub/../../out.png", "{top}/out.png"),
    ("{top}/out.png", "{top}/out.png"),
    ("~/home.png", "{home}/home.png"),
    ("link-out.png", "{top}/out.png"),
    ("folder-out/out.png", "{top}/far/out.png"),
    ("file://{top}/out.png", "{top}/out.png"),
]  # fmt: skip
PLACES = {
    "image": "image: {it}",
    "described": 'image: {{path: "{it}"}}',
    "with a digest": 'image: {{path: "{it}", digest: "' + "ab" * 32 + '"}}',
    "images": "images: [in.png, {it}]",
    "axis": "axes:\n  image: [in.png, {it}]",
    "named axis": "axes:\n  image: {{day: in.png, night: {it}}}",
    "axis of images": "axes:\n  images: [[in.png], [in.png, {it}]]",
    "pairs": "axes:\n  image+seed: [[in.png, 1], [{it}, 2]]",
}


def in_place(text: str, folder: Path) -> str:
    """A path with the folders it speaks of."""
    return text.format(here=folder, top=folder.parent, home=Path.home())


@pytest.mark.parametrize("place", sorted(set(PLACES) - {"described", "with a digest"}))
@pytest.mark.parametrize(("given", "named"), OUTSIDE)
def test_files_outside_the_folder_are_named(given: str, named: str, place: str, folders: Path) -> None:
    """However a path leads out, and wherever it stands."""
    plan = planned(folders, PLACES[place].format(it=in_place(given, folders)))
    assert (in_place(named, folders),) == plan.outside


@pytest.mark.parametrize("place", ["described", "with a digest"])
@pytest.mark.parametrize(("given", "named"), [one for one in OUTSIDE if "file:" not in one[0]])
def test_described_files_outside_the_folder_are_named(
    given: str, named: str, place: str, folders: Path
) -> None:
    """Also where a file describes its reference."""
    plan = planned(folders, PLACES[place].format(it=in_place(given, folders)))
    assert (in_place(named, folders),) == plan.outside


@pytest.mark.parametrize("given", INSIDE)
def test_files_inside_the_folder_are_not_named(given: str, folders: Path) -> None:
    """What lies in the folder or below is the sweep's own, however it is written."""
    plan = planned(folders, f"image: {in_place(given, folders)}")
    assert () == plan.outside


def test_a_sweep_made_in_python_names_no_files(folders: Path) -> None:
    """Who wrote the path knows it."""
    assert () == Plan(kl.Sweep("x", folders.parent / "out.png"), "sandbox", ()).sources


@pytest.mark.parametrize(
    "change",
    [
        lambda sweep: sweep.replace(seed="1-3"),
        lambda sweep: sweep.replace(axes={"guidance_scale": [2, 3]}),
        lambda sweep: sweep.with_references(lambda one: one),
        lambda sweep: kl.Sweep("y", images=sweep.references),
    ],
)
def test_a_changed_copy_still_names_them(change: Callable[[kl.Sweep], kl.Sweep], folders: Path) -> None:
    """What is known of a reference stays with it."""
    plan = planned(folders, "image: ../out.png")
    assert plan.outside == Plan(change(plan.sweep), "sandbox", ()).outside


def test_every_way_to_read_a_plan_names_them(folders: Path) -> None:
    """The text, the notebook's view and JSON."""
    plan = planned(folders, "images: [../out.png, ~/home.png, 'http://intranet/a.png']")
    files = [f"{folders.parent}/out.png", f"{Path.home()}/home.png"]

    lines = [
        f"sends 2 files from outside the sweep file's folder: {files[0]}, {files[1]}",
        "fetches 1 address: http://intranet/a.png",
    ]
    assert lines == str(plan).splitlines()[1:3]
    assert all(line in plan._repr_html_().replace("&#x27;", "'") for line in lines)
    assert (files, ["http://intranet/a.png"]) == (
        plan.as_dict()["files_outside"],
        plan.as_dict()["addresses"],
    )


def test_long_lists_are_cut_in_text_and_whole_in_json(folders: Path) -> None:
    """The first three and a count; other programs get all."""
    addresses = [f"https://h.example/{number}.png" for number in range(12)]
    plan = planned(folders, f"axes:\n  image: {json.dumps(addresses)}")
    assert f"fetches 12 addresses: {', '.join(addresses[:3])} and 9 more" in str(plan)
    assert addresses == plan.as_dict()["addresses"]


def test_a_name_that_acts_on_a_terminal_is_escaped(folders: Path) -> None:
    """A file's name is data."""
    odd = folders.parent / "a\x1b[2Kb.png"
    Image.fromarray(GREY).save(odd)
    (folders / "s.yaml").write_text('prompt: x\nimage: "../a\\e[2Kb.png"\n')
    plan = Plan(kl.Sweep.from_yaml(folders / "s.yaml"), "sandbox", ())
    assert "\x1b" not in str(plan)
    assert r"a\u001b[2Kb.png" in str(plan)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (f"http://me:{SECRET}@h.example/a.png", "http://…@h.example/a.png"),
        (f"https://{SECRET}@h.example:8443/a.png", "https://…@h.example:8443/a.png"),
        (f"https://h.example/a.png?token={SECRET}&w=2", "https://h.example/a.png?token=…&w=…"),
        (f"https://h.example/a.png?{SECRET}", "https://h.example/a.png?…"),
        (f"https://h.example/a.png#{SECRET}", "https://h.example/a.png"),
        (f"https://a@{SECRET}@h.example/a.png", "https://…@h.example/a.png"),
        ("http://[::1]:80/a.png", "http://[::1]:80/a.png"),
        ("http://169.254.169.254/latest", "http://169.254.169.254/latest"),
    ],
)
def test_addresses_are_named_without_what_opens_them(given: str, shown: str) -> None:
    """The host and the path are told, passwords and tokens are not."""
    plan = Plan(kl.Sweep("x", given), "sandbox", ())
    assert (shown,) == plan.addresses
    assert SECRET not in f"{plan}{plan._repr_html_()}{plan.as_dict()}"


# --- a dry run -----------------------------------------------------------------------------------------


@pytest.fixture
def mixed(workdir: Path, photo_file: Path, served_photo: tuple[str, list[str]]) -> Path:
    """A sweep of a file and an address, two seeds each."""
    (workdir / "photo.jpg").write_bytes(photo_file.read_bytes())
    file = workdir / "sweep.yaml"
    file.write_text(
        f'prompt: Add a crab.\nseed: 1-2\naspect_ratio: 1:1\naxes:\n  image: [photo.jpg, "{served_photo[0]}"]\n'
    )
    return file


def dry(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """What a dry run of it prints."""
    assert 0 == run_command(["run", "sweep.yaml", "--dry-run", *words])
    return capfd.readouterr().out


def test_a_dry_run_fetches_nothing(
    mixed: Path, api: Sandbox, served_photo: tuple[str, list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither as text nor as JSON."""
    dry(capfd)
    dry(capfd, "--json")
    assert ([], []) == (served_photo[1], api.calls)


def test_a_plan_without_fetching_says_what_is_not_known(
    mixed: Path, api: Sandbox, served_photo: tuple[str, list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    """The price is the most it can be, and one line says why."""
    said = dry(capfd)
    assert said.startswith("2 × 2 = 4 requests · free (at most ≈ $0.21 if it were real)")
    assert (
        "! 2 of these 4 requests: no address was fetched, so it isn't known whether they were paid for before"
        in said
    )
    assert f"fetches 1 address: {served_photo[0].partition('?')[0]}?size=…" in said


def test_what_needs_no_address_is_exact(
    mixed: Path, api: Sandbox, served_photo: tuple[str, list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    """After a run, cells of files are known as paid for, those of addresses are not."""
    assert 0 == run_command(["run", "sweep.yaml", "--yes"])
    capfd.readouterr()
    fetched = len(served_photo[1])
    plan = json.loads(dry(capfd, "--json"))

    assert (2, 2, 2, 0.104) == (plan["reused"], plan["requests"], plan["unfetched"], plan["cost_usd"])
    assert fetched == len(served_photo[1])


def test_the_same_address_twice_is_one_request(lab: kl.Lab) -> None:
    """Equal requests are sent once, also where nobody knows the picture yet; others are told apart."""
    again, other = ["http://h.example/a.png"] * 2, ["http://h.example/a.png", "http://h.example/b.png"]
    counts = [lab.plan(kl.Sweep("x", axes={"image": images}), fetch=False) for images in (again, other)]
    assert [1, 2] == [plan.requests for plan in counts]


def test_a_plan_without_fetching_leaves_nothing_behind(lab: kl.Lab, tmp_path: Path) -> None:
    """No lock and no folder of a sweep that is none yet."""
    lab.plan(kl.Sweep("x", GREY), fetch=False)
    before = sorted(Path(lab.context.journal.folder).rglob("*"))
    lab.plan(kl.Sweep("x", "http://h.example/a.png"), fetch=False)
    assert before == sorted(Path(lab.context.journal.folder).rglob("*"))


def test_a_plan_in_python_fetches(lab: kl.Lab, served_photo: tuple[str, list[str]]) -> None:
    """Unless it is asked not to."""
    sweep = kl.Sweep("x", served_photo[0])
    lab.plan(sweep, fetch=False)
    without = len(served_photo[1])
    plan = lab.plan(sweep)
    assert (0, 1, 0) == (without, len(served_photo[1]), plan.unfetched)


def test_an_address_out_of_reach_is_told(lab: kl.Lab) -> None:
    """What can't be fetched can't be planned."""
    with pytest.raises(ImageError, match="could not be fetched"):
        lab.plan(kl.Sweep("x", "http://127.0.0.1:9/a.png"))


def test_the_price_is_the_most_it_can_be(lab: kl.Lab) -> None:
    """Of a real service, too."""
    plan = lab.plan(kl.Sweep("x", "http://h.example/a.png"), fetch=False)
    real = replace(plan, service="https://api.aimlapi.com", seconds_each=10)
    assert "1 request · at most ≈ $0.05 · ≈ 10 s" == real.line


@pytest.mark.slow
def test_the_question_before_paying_names_them(folders: Path, store_uri: str, tmp_path: Path) -> None:
    """On a terminal, right where a yes is typed."""
    (folders / "sweep.yaml").write_text("prompt: x\nimage: ../out.png\nseed: 1-30\n")
    ours, theirs = pty.openpty()
    nobody = {"AIMLAPI_BASE_URL": "http://127.0.0.1:9", "AIMLAPI_API_KEY": "key"}
    command = [sys.executable, "-m", "kontext_lab", "run", str(folders / "sweep.yaml")]
    terminal = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    said = b""
    with subprocess.Popen(command, env={**os.environ, **nobody}, **terminal) as process:
        os.close(theirs)
        while b"[y/N]: " not in said:
            assert select.select([ours], [], [], DEADLINE)[0]
            said += os.read(ours, 4096)
        process.kill()
    os.close(ours)

    question = said.decode().replace("\r\n", "\n").splitlines()[-2:]
    named = f"sends 1 file from outside the sweep file's folder: {folders.parent}/out.png"
    assert [named, "Pay about $1.56? [y/N]: "] == question
