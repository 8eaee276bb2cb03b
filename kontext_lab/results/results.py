"""Results: a sweep's cells, or those of several sweeps together, to pick from, tabulate and save."""

from __future__ import annotations

import base64
import html
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

from kontext_lab.errors import NotFound, many, meant, shown
from kontext_lab.redaction import get_logger
from kontext_lab.request import FIELDS, plain
from kontext_lab.results import saving
from kontext_lab.results.cell import MADE, CellResult, Output, together
from kontext_lab.results.labels import is_placeholder
from kontext_lab.results.states import MISSING, PAID_AGAIN, State
from kontext_lab.sweep.axes import value_text
from kontext_lab.sweep.wording import shortened

if TYPE_CHECKING:
    import pandas as pd

    from kontext_lab.metrics import Comparison

__all__ = ["ComparisonSource", "Results"]

log = get_logger(__name__)


class ComparisonSource(Protocol):
    """A source of references and comparisons for results. Its methods may take long, and run in any thread."""

    def know(self, results: Results) -> object:
        """Fill in the requests of the cells, and with them the references, where they can be found."""

    def comparison(self, output: Output) -> Comparison:
        """The comparison of an output with its reference.

        Raises:
            KontextLabError: they can't be compared; tells the reason.
        """


Draw = Callable[["Results"], bytes]
"""Draws a small static grid and returns it as PNG."""


class Results(Sequence[CellResult]):
    """Cells with their states and outputs, in the order of the sweep.

    Attributes:
        name: the sweep's name; several joined by ` + `.
        run_id: the parent run in MLflow, or "" for results without a run of their own.
        notes: lines for a person, such as why the sweep stopped.
        spent: US dollars billed by the call of `run` that made these results; `cost` includes earlier calls.
        measuring: number of cells whose measuring has not ended.
        stopped: `asked` if a person stopped it, `left` if requests under way were left, `journal`, `executor`,
            `unreachable`, `billed`, `refused`, the name of the error that stopped it, or "".
        undelivered: number of cells that are or may be paid for, and are in the journal but not in MLflow.
        unkept: number of cells that are paid for and neither in MLflow nor in the journal, only in these results.
        unended: MLflow does not have the end of the run.
        comparison_source: loads references and compares outputs, or None.

    Example:
        >>> sweep = kl.Sweep("Add a bird.", kl.sample("coffee"), axes={"guidance_scale": [2, 5]}, name="demo")
        >>> with kl.Lab("sandbox", quiet=True) as lab:
        ...     results = lab.run(sweep, progress=False)
        >>> results.axes
        {'guidance_scale': [2.0, 5.0]}
        >>> results.cell(guidance_scale=5).state, len(results.sel(guidance_scale=[2, 5])), len(results.to_frame())
        (<State.DONE: 'done'>, 2, 2)
    """

    def __init__(
        self,
        cells: Sequence[CellResult],
        *,
        name: str = "",
        run_id: str = "",
        notes: Sequence[str] = (),
        draw: Draw | None = None,
        comparison_source: ComparisonSource | None = None,
    ) -> None:
        self._cells = list(cells)
        self.name = name
        self.run_id = run_id
        self.notes = list(notes)
        self.spent = 0.0
        self.measuring = 0
        self.stopped = ""
        self.undelivered = 0
        self.unkept = 0
        self.unended = False
        self._draw = draw
        self.comparison_source = comparison_source

    @overload
    def __getitem__(self, index: int) -> CellResult: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> CellResult | Results:
        return self._part(self._cells[index]) if isinstance(index, slice) else self._cells[index]

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[CellResult]:
        return iter(self._cells)

    @property
    def outputs(self) -> list[Output]:
        """Every output of every cell, in order."""
        return [output for cell in self._cells for output in cell.outputs]

    @property
    def axes(self) -> dict[str, list[Any]]:
        """The varying parameters with their values in order of appearance; `output` if cells have several outputs.

        Parameters that differ between the sweeps of joined results are axes as well.
        """
        # A cell whose run was cut off before its parameters were written has none.
        swept = (key for cell in self._cells for key in cell.swept if key in cell.params)
        keys = list(dict.fromkeys(swept))
        keys += [key for key in self._differing() if key not in keys]
        found = {key: self.values(key) for key in keys}
        if any(len(cell.outputs) > 1 for cell in self._cells):
            found["output"] = self.values("output")
        return found

    def values(self, key: str) -> list[Any]:
        """The distinct values of a parameter in order of first appearance; numbers in ascending order.

        Raises:
            NotFound: no cell has such a parameter.
        """
        self._check_keys([key])
        if key == "output":
            return sorted({output.number for output in self.outputs}) or [1]
        if key in ("state", "reason"):
            return list(dict.fromkeys(str(getattr(cell, key)) for cell in self._cells))
        found = {_text(key, cell.params[key]): cell.params[key] for cell in self._cells if key in cell.params}
        values = list(found.values())
        numeric = all(isinstance(value, int | float) for value in values)
        return sorted(values) if numeric else values

    def label(self, key: str, value: Any) -> str:
        """The label of a value: the name a person gave it, else the value itself."""
        for cell in self._cells:
            named = f"{key}.label" in cell.params and key in cell.params
            if named and _text(key, cell.params[key]) == _text(key, value):
                return str(cell.params[f"{key}.label"])
        return _text(key, value)

    def cell(self, /, **where: Any) -> CellResult | Output:
        """The one cell with these parameters, by value or by name; with `output=` that output of the cell.

        If several cells are the same request, a cell that is done.

        Raises:
            NotFound: no cell or several; lists the values there are.
        """
        number = plain(where.pop("output", None))
        cells = self.sel(**where)
        if not cells:
            raise NotFound("there are no cells")
        if len({(cell.fingerprint or id(cell), cell.params.get(MADE)) for cell in cells}) > 1:
            values = {key: cells.values(key) for key in cells.axes if key != "output"}
            more = "; ".join(f"{key}: {_listed(key, some)}" for key, some in values.items() if len(some) > 1)
            differ = "they differ in reference or service: choose one as in results[0]"
            way_out = f"say more: {more}" if more else differ
            raise NotFound(f"{len(cells)} cells have {_described(where) or 'any parameters'}, {way_out}")
        cell = next((cell for cell in cells if cell.state is State.DONE), cells[0])
        if number is None:
            return cell
        for output in cell.outputs:
            if output.number == number:
                return output
        count = many(len(cell.outputs), "output")
        raise NotFound(f"{cell.title} has {count}, output={shown(number)} is not among them")

    def sel(self, /, **where: Any) -> Results:
        """The cells with these parameters; a list selects any of its values.

        Raises:
            NotFound: no such parameter or value; lists those there are.
        """
        where.pop("output", None)
        self._check_keys(where)
        wanted: dict[str, set[str]] = {}
        for key, value in where.items():
            where[key] = values = plain(value)
            if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
                where[key] = values = tuple(map(plain, values))
            wanted[key] = {_text(key, one) for one in (values if isinstance(values, tuple) else [values])}
        cells = [cell for cell in self if all(_has(cell, key, texts) for key, texts in wanted.items())]
        if where and not cells:
            for key, texts in wanted.items():
                if not any(_has(cell, key, texts) for cell in self):
                    values = _listed(key, self.values(key)) or "none"
                    raise NotFound(f"{key}={shown(where[key])}: no cell has it, there are {values}")
            raise NotFound(f"no cell has {_described(where)} together")
        return self._part(cells)

    def __add__(self, other: Results) -> Results:
        """Join results; every picture stays once, and of equal requests a done cell replaces the others.

        A picture and its reused copy are one cell. Pictures of a request that was paid for twice, as with
        `reuse="never"`, all stay, on an axis `made`: 1 for the oldest, labelled by its date.
        """
        if not isinstance(other, Results):
            return NotImplemented
        names = dict.fromkeys(name for name in (self.name, other.name) if name)
        run_id = self.run_id if self.run_id == other.run_id else ""
        return Results(
            together((*self, *other)),
            name=" + ".join(names),
            run_id=run_id,
            notes=list(dict.fromkeys((*self.notes, *other.notes))),
            draw=self._draw or other._draw,
            comparison_source=self.comparison_source or other.comparison_source,
        )

    def to_frame(self) -> pd.DataFrame:
        """A pandas table, one row per output; a cell without outputs has one row as well."""
        import pandas as pd  # noqa: PLC0415 - only a table needs pandas

        rows = [_row(cell, output) for cell in self._cells for output in (*cell.outputs,) or (None,)]
        return pd.DataFrame(rows)

    def save(self, folder: str | Path) -> Path:
        """Write the exact bytes under readable names, and `index.csv`; returns the folder.

        Pictures missing in the store are left out: a warning and a line of `notes` name them.

        Raises:
            ConfigError: the folder can't be made or written.
        """
        line = saving.save(self, self.to_frame(), folder)
        if line:
            self.notes.append(line)
            log.warning("%s", line)
        return Path(folder).expanduser()

    @property
    def counts(self) -> Counter[State]:
        """Number of cells by state."""
        return Counter(cell.state for cell in self._cells)

    @property
    def missing(self) -> list[Output]:
        """The outputs whose bytes are gone from the store, by a quick test of its files."""
        return [output for output in self.outputs if output.is_missing]

    @property
    def missing_line(self) -> str:
        """The number and the location of missing pictures in one line; "" if there are none."""
        return saving.missing_line(self.missing, self.outputs)

    @property
    def cost(self) -> float:
        """US dollars billed for these cells."""
        return round(sum(cell.cost for cell in self._cells), 6)

    @property
    def simulated(self) -> bool:
        """True if a picture is the sandbox's."""
        return any(cell.simulated for cell in self._cells)

    @property
    def summary(self) -> str:
        """One line: counts, money, and the next step."""
        return " · ".join(filter(None, (self.brief, self._next_step())))

    @property
    def brief(self) -> str:
        """One line: counts and money."""
        counts = self.counts
        parts = [f"{counts[state]} {state.replace('_', ' ')}" for state in State if counts[state]]
        reused = sum(1 for cell in self._cells if cell.reused_from)
        cells = f"{many(len(self), 'cell')}: {', '.join(parts) or 'none'}"
        cells += f" ({reused} reused)" if reused else ""
        return f"{cells} · ${self.cost:.2f}" + (" (simulated)" if self.simulated else "")

    @property
    def undelivered_line(self) -> str:
        """The parts of this run that MLflow lacks, and the way out, in one line; "" if it lacks nothing."""
        parts = []
        if self.unkept:
            parts.append(
                f"{many(self.unkept, 'cell is', 'cells are')} paid for and kept nowhere, neither in MLflow nor in the journal: "
                "results.save(folder), or --out, before this process ends"
            )
        way_out = "`kontext-lab recover`, or running the sweep again,"
        if self.undelivered:
            cells = f"{many(self.undelivered, 'cell is', 'cells are')} not in MLflow yet"
            parts.append(f"{cells}, what came is safe in the journal: {way_out} delivers it")
        elif self.unended:
            parts.append(f"the end of the run is not in MLflow yet: {way_out} records it")
        return "; ".join(parts)

    def _next_step(self) -> str:
        counts = self.counts
        if self.undelivered_line:
            return self.undelivered_line
        if any(cell.reason == MISSING for cell in self._cells):
            return f"missing in the store: {PAID_AGAIN}"
        if counts[State.IN_DOUBT]:
            return 'in doubt: sent again only with lab.run(sweep, in_doubt="resend")'
        if counts[State.CANCELLED] or counts[State.SKIPPED] or counts[State.WAITING]:
            return "run the same sweep again to send the rest"
        if counts[State.FAILED]:
            return "results.sel(state='failed') lists the failed cells" if counts[State.DONE] else ""
        return "compare with kl.grid(results)" if len(self) > 1 else ""

    def __repr__(self) -> str:
        return f"<Results {self.name!r}: {self.summary}>"

    def _repr_html_(self) -> str:
        picture = ""
        if self._draw is not None and self._cells:
            encoded = base64.b64encode(self._draw(self)).decode("ascii")
            picture = f'<img alt="{html.escape(self.name)}" src="data:image/png;base64,{encoded}"/>'
        lines = "".join(f"<div>{html.escape(note)}</div>" for note in self.notes)
        line = f"<div><b>{html.escape(self.name)}</b> {html.escape(self.summary)}</div>"
        return f"<div>{picture}{line}{lines}</div>"

    def _part(self, cells: Sequence[CellResult]) -> Results:
        return Results(
            cells,
            name=self.name,
            run_id=self.run_id,
            notes=self.notes,
            draw=self._draw,
            comparison_source=self.comparison_source,
        )

    def _check_keys(self, keys: Sequence[str] | Mapping[str, Any]) -> None:
        known = dict.fromkeys(key for cell in self._cells for key in cell.params)
        for key in keys:
            if self._cells and key not in known and key not in ("state", "reason", "output"):
                there = f"there are {', '.join(known)}, state, reason; {meant(key, known)}"
                raise NotFound(f"{key}: no cell has such a parameter, {there.rstrip(' ;')}")

    def _differing(self) -> list[str]:
        """Parameters that differ between cells though no sweep varied them."""
        swept = {key for cell in self._cells for key in cell.swept}
        params = [cell.params for cell in self._cells]
        words = list(filter(is_placeholder, dict.fromkeys(key for one in params for key in one)))
        keys = [key for key in (*FIELDS, "image", *words) if key not in swept]
        differing = [key for key in keys if len({_text(key, one.get(key)) for one in params}) > 1]
        if "prompt" in differing:
            pairs = {(tuple(str(one.get(word)) for word in words), str(one.get("prompt"))) for one in params}
            # If equal words mean equal prompts, the words are the axis, and the prompt only follows.
            if len(pairs) == len({chosen for chosen, _ in pairs}):
                differing.remove("prompt")
        return differing


def _text(key: str, value: Any) -> str:
    return value_text(key, value) if key != "image" else str(value)


def _has(cell: CellResult, key: str, texts: set[str]) -> bool:
    """True if the value of a parameter, or its name, is one of the texts."""
    if key in ("state", "reason"):
        return str(getattr(cell, key)) in texts
    params = cell.params
    return key in params and not texts.isdisjoint((_text(key, params[key]), params.get(f"{key}.label")))


def _described(where: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={shown(value)}" for key, value in where.items())


def _listed(key: str, values: Sequence[Any]) -> str:
    texts = [" ".join(_text(key, value).split()) for value in values]
    first = shortened(texts[:12], 40, texts)
    return ", ".join(first) + (f" … ({len(values)} in all)" if len(values) > len(first) else "")


def _row(cell: CellResult, output: Output | None) -> dict[str, Any]:
    return {
        **cell.params,
        "output": output.number if output else None,
        "state": str(cell.state),
        "reason": (output.reason if output and output.reason else cell.reason) or None,
        "cost": output.cost if output else cell.cost,
        "latency_s": cell.latency_s,
        "width": output.width if output and output.width else None,
        "height": output.height if output and output.height else None,
        **cell.metrics,
        **(output.metrics if output else {}),
        "sha256": (output.sha256 or None) if output else None,
        "note": cell.comment or None,  # a placeholder can't be called `note`
        "reused_from": cell.reused_from or None,
        "run_id": cell.run_id or None,
    }
