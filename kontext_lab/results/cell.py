"""One cell's result and its outputs: what people's hands are on when they look at a picture."""

from __future__ import annotations

import base64
import builtins
import html
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from PIL import Image

from kontext_lab.errors import KontextLabError, NotFound, OutputMissing
from kontext_lab.images import PREVIEW_BOX, Boxes, Origin, open_picture, origins_of, thumbnail
from kontext_lab.request import DEFAULT, FIELDS, EditRequest
from kontext_lab.request.attempt import Attempt, Picture, Reason
from kontext_lab.results.states import State, outcome_of
from kontext_lab.sweep import Cell

__all__ = ["MADE", "CellResult", "Output", "together", "typed_params"]

MADE = "made"
"""The parameter that tells pictures of one request apart: which time it was made, from 1."""

_NEVER = datetime.max.replace(tzinfo=UTC)


def typed_params(texts: Mapping[str, str]) -> dict[str, Any]:
    """Logged text back as plain values: numbers for number fields, everything else as it stands."""
    numbers: dict[str, Callable[[str], Any]] = {"guidance_scale": float}
    numbers.update(dict.fromkeys(("seed", "num_images", "repeat"), int))
    return {
        name: numbers[name](text) if name in numbers and text != DEFAULT else text
        for name, text in texts.items()
    }


@dataclass(eq=False, repr=False)
class Output:
    """One picture that came back, or the reason why it did not.

    Attributes:
        cell: the cell it belongs to.
        number: 1 … num_images.
        sha256: hex digest of the exact bytes; empty where nothing came.
        format: `jpeg`, `png` …
        width: pixels.
        height: pixels.
        reason: why it is no picture to keep, or "".
        note: one line for a person where there is a reason.
        phash: by which `lab.find` knows a copy that was saved again; empty where there is no picture.
        metrics: measured values by name, such as `change/area`.
        kept_at: a file with just these bytes while the store has none yet, or "".
    """

    cell: CellResult = field(repr=False)
    number: int
    sha256: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""
    note: str = ""
    phash: str = field(default="", repr=False)
    metrics: dict[str, float] = field(default_factory=dict)
    data: builtins.bytes = field(default=b"", repr=False)
    kept_at: str = field(default="", repr=False)
    preview: builtins.bytes = field(default=b"", repr=False)
    load: Callable[[], builtins.bytes] | None = field(default=None, repr=False)
    load_preview: Callable[[], builtins.bytes] | None = field(default=None, repr=False)

    @classmethod
    def from_picture(cls, cell: CellResult, number: int, picture: Picture) -> Output:
        """An output just received, its bytes in memory."""
        return cls(
            cell,
            number,
            sha256=picture.sha256,
            format=picture.format,
            width=picture.width,
            height=picture.height,
            reason=str(picture.reason or ""),
            note=picture.note,
            phash=picture.phash,
            data=picture.data,
            kept_at=picture.kept_at,
            preview=picture.preview,
        )

    @property
    def bytes(self) -> builtins.bytes:
        """The exact bytes received.

        Raises:
            KontextLabError: there are none; its class says why.
        """
        data = self.data  # read once: the thread that writes the store lets go of it
        if data:
            return data
        if self.load is not None and self.sha256:
            return self.load()
        raise self.error

    @property
    def image(self) -> Image.Image:
        """The picture, decoded at full resolution, upright.

        Raises:
            KontextLabError: it is no picture to look at; its class says why.
        """
        if not self.format:
            raise self.error
        return open_picture(self.bytes, f"{self.cell.title}, output {self.number}").picture

    def thumbnail(self, box: int) -> Image.Image:
        """A small version for figures, longest side at most `box` pixels."""
        if not self.format:
            raise self.error
        if box > PREVIEW_BOX:
            return thumbnail(self.bytes, box)
        if not self.preview and self.load_preview is not None:
            with suppress(OutputMissing):
                self.preview = self.load_preview()
        return thumbnail(self.preview or self.bytes, box)

    def release(self, load: Callable[[], builtins.bytes]) -> None:
        """Let go of the bytes, which `load` brings back: a sweep's pictures need not all fit into memory."""
        self.load = load
        self.data = b""

    def __repr__(self) -> str:
        size = f"{self.width}x{self.height} {self.format}" if self.format else self.reason or "no picture"
        return f"<Output {self.number} of {self.cell.title!r}: {size}>"

    def _repr_html_(self) -> str:
        return _html(self, f"{self.cell.title} · output {self.number}")

    @property
    def error(self) -> KontextLabError:
        """What `bytes` and `image` raise where there is no picture."""
        where = f"{self.cell.title}, output {self.number}: "
        if self.reason in tuple(Reason):
            return Reason(self.reason).error(where + (self.note or self.reason))
        return NotFound(where + (self.cell.note or f"no picture, the cell is {self.cell.state}"))

    @property
    def is_missing(self) -> bool:
        """Whether its bytes are definitely not in the store any more, by a quick look; False where that isn't known."""
        look = getattr(self.load, "is_missing", None)
        if self.data or not self.sha256 or look is None:
            return False
        try:
            return bool(look())
        except KontextLabError:
            return False  # whoever loads it is told

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture to keep and measure."""
        return bool(self.sha256) and not self.reason

    @property
    def params(self) -> dict[str, Any]:
        """The cell's parameters, and which output of the cell this is."""
        return {**self.cell.params, "output": self.number}

    @property
    def cost(self) -> float:
        """Its share of what the cell cost, in US dollars."""
        return self.cell.cost / max(1, len(self.cell.outputs))

    @property
    def state(self) -> State:
        """The cell's state."""
        return self.cell.state

    @property
    def run_id(self) -> str:
        """The cell's MLflow run, or "" while it is not tracked."""
        return self.cell.run_id

    @property
    def origin(self) -> Origin | None:
        """Where it is tracked, for chains of edits; None while it is not."""
        return Origin(self.run_id, self.number, self.sha256) if self.run_id else None

    @property
    def file_name(self) -> str:
        """The name of its artifact: `0.png` for the first output."""
        suffix = {"jpeg": "jpg", "": "bin"}.get(self.format, self.format)
        return f"{self.number - 1}.{suffix}"


@dataclass(eq=False, repr=False)
class CellResult:
    """One cell: its parameters, where it stands, and what came back.

    Attributes:
        title: readable and short: `g5 s2 1:1 crab`.
        params: every request field and placeholder as plain values.
        swept: the keys that varied in its sweep, in the order of the axes.
        service: `sandbox` or the service's origin.
        fingerprint: hex sha256, "the same request to the same service".
        state: where it stands.
        reason: why it is not done, in one word: a status, `moderated`, `budget` …
        note: the same in a line for a person.
        cost: US dollars billed for this cell in this sweep; 0 where it was reused.
        latency_s: seconds the service took, or None.
        outputs: one per picture asked for, once there is an answer.
        run_id: its MLflow run, or "".
        reused_from: the run its pictures were copied from, or "".
        arrived: when the answer came.
        metrics: values of the whole cell by name, besides those above.
        parents: the tracked outputs its references are, in their order: chains of edits go along these.
        request: what was sent; None for results read back from a store.
        comment: a person's own note on it, or "".
        protect: of each reference the boxes that should be kept, by name: left, top, right, bottom as fractions; none at all: ().
        recipe: by which recipe and boxes its outputs were measured, or "".
    """

    title: str
    params: dict[str, Any]
    swept: tuple[str, ...] = ()
    service: str = ""
    fingerprint: str = ""
    state: State = State.WAITING
    reason: str = ""
    note: str = ""
    cost: float = 0.0
    latency_s: float | None = None
    outputs: list[Output] = field(default_factory=list, repr=False)
    run_id: str = ""
    reused_from: str = ""
    arrived: datetime | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    parents: tuple[Origin, ...] = ()
    request: EditRequest | None = field(default=None, repr=False)
    comment: str = ""
    protect: Sequence[Boxes] = field(default=(), repr=False)
    recipe: str = field(default="", repr=False)

    @classmethod
    def from_cell(
        cls, cell: Cell, service: str, fingerprint: str, *, protect: Sequence[Boxes] = ()
    ) -> CellResult:
        """A waiting result for a sweep's cell."""
        made = cls(
            cell.title,
            cell.params,
            cell.swept,
            service,
            fingerprint,
            request=cell.request,
            protect=protect,
        )
        made.parents = origins_of(cell.request.images)
        return made

    def __repr__(self) -> str:
        more = f" {self.reason}" if self.reason else ""
        simulated = ", simulated" if self.simulated else ""
        return f"<Cell {self.title!r}: {self.state}{more}, ${self.cost:.3f}{simulated}>"

    def _repr_html_(self) -> str:
        return _html(self.output, f"{self.title} · {self.state} {self.reason or ''}")

    def apply(self, attempt: Attempt, now: datetime) -> None:
        """Take over how the last attempt ended."""
        self.state, self.reason, self.note = outcome_of(attempt)
        self.arrived = now
        if attempt.answer is not None:
            self.cost = attempt.answer.cost_usd
            self.latency_s = attempt.answer.latency_s
            self.outputs = [
                Output.from_picture(self, number, picture)
                for number, picture in enumerate(attempt.answer.pictures, 1)
            ]

    def take(self, other: CellResult) -> None:
        """Take over the outcome of the same cell as a store holds it; parameters and title stay."""
        self.state, self.reason, self.note = other.state, other.reason, other.note
        self.cost, self.latency_s, self.arrived = other.cost, other.latency_s, other.arrived
        self.run_id, self.reused_from, self.metrics = other.run_id, other.reused_from, dict(other.metrics)
        self.parents, self.comment = self.parents or other.parents, other.comment
        self.recipe = other.recipe
        self.outputs = other.outputs
        for output in self.outputs:
            output.cell = self

    def end(self, state: State, reason: str, note: str = "") -> None:
        """End without an answer: skipped, cancelled, or failed before anything was sent."""
        self.state, self.reason, self.note = state, reason, note

    def numbered(self, number: int, began: datetime, makes: Sequence[CellResult]) -> CellResult:
        """The same cell as one of several makes of its request.

        Args:
            number: which of them.
            began: when the first cell of any request with this number came.
            makes: all of them; one that was loaded learns from another one what was sent.
        """
        label = f"{number} ({began.astimezone():%d %b %Y %H:%M})" if began != _NEVER else str(number)
        request = self.request or next((one.request for one in makes if one.request is not None), None)
        made = replace(self, request=request, params={**self.params, MADE: number, f"{MADE}.label": label})
        made.outputs = [replace(output, cell=made) for output in self.outputs]
        return made

    @property
    def output(self) -> Output:
        """The first output that is a picture, else the first.

        Raises:
            KontextLabError: there is none; says why.
        """
        for output in self.outputs:
            if output.is_picture:
                return output
        return self.outputs[0] if self.outputs else Output(self, 1)

    @property
    def bytes(self) -> builtins.bytes:
        """The exact bytes of the first output."""
        return self.output.bytes

    @property
    def image(self) -> Image.Image:
        """The first output, decoded."""
        return self.output.image

    @property
    def origin(self) -> Origin | None:
        """Where the first output is tracked."""
        return self.output.origin

    @property
    def simulated(self) -> bool:
        """Whether the sandbox made it."""
        return self.service == "sandbox"


def together(cells: Iterable[CellResult]) -> list[CellResult]:
    """Cells of several results, each picture once.

    Cells are of one request where fingerprint, words and given names are equal. Of those every picture that was made
    stays: copies of a picture share the moment it arrived and are one, pictures that were asked for anew differ in
    it. Where a request was made more than once, all cells get the parameter `made`: 1 for the oldest, 2 for the
    next, labelled by its date. What is not done stays where nothing of its request is done, the last one given.
    """
    groups: dict[object, dict[object, CellResult]] = {}
    for cell in cells:
        group = groups.setdefault(_request_of(cell), {})
        if cell.state is State.DONE:
            group.pop(None, None)
            make = (cell.arrived, *(output.sha256 for output in cell.outputs))
            if make not in group or (group[make].reused_from and not cell.reused_from):
                group[make] = cell  # the one that was paid for
        elif not group or None in group:
            group[None] = cell
    found = [sorted(group.values(), key=lambda cell: cell.arrived or _NEVER) for group in groups.values()]
    if all(len(makes) == 1 for makes in found):
        return [cell for makes in found for cell in makes]
    began: dict[int, datetime] = {}
    for number, cell in (one for makes in found for one in enumerate(makes, 1)):
        began[number] = min(began.get(number, _NEVER), cell.arrived or _NEVER)
    return [
        cell.numbered(number, began[number], makes) for makes in found for number, cell in enumerate(makes, 1)
    ]


def _request_of(cell: CellResult) -> object:
    """What makes a cell the same request as another one, under the same words and names."""
    named = {
        key: str(value)
        for key, value in cell.params.items()
        if key not in (*FIELDS, "repeat", MADE, f"{MADE}.label")
    }
    return (cell.fingerprint, *sorted(named.items())) if cell.fingerprint else id(cell)


def _html(output: Output, line: str) -> str:
    """A picture no larger than its preview, and a line; what can't be shown says why."""
    words = html.escape(line) + (" · simulated picture (sandbox)" if output.cell.simulated else "")
    try:
        buffer = io.BytesIO()
        output.thumbnail(PREVIEW_BOX).save(buffer, format="JPEG", quality=85)
    except KontextLabError as error:
        return f"<div>{words}<br>{html.escape(str(error))}</div>"
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<div><img alt="{html.escape(line)}" src="data:image/jpeg;base64,{encoded}"/><br>{words}</div>'
