"""Python code that makes a sweep or a single cell again. Pure: text out of values."""

from __future__ import annotations

import pprint
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from kontext_lab.errors import SweepError
from kontext_lab.images import MAX_MEGAPIXELS, Reference, load_reference
from kontext_lab.request import FIELDS
from kontext_lab.results import CellResult
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.axes import REFERENCE_KEYS
from kontext_lab.sweep.wording import filled, placeholders

__all__ = ["cell_code", "escaped", "sweep_code"]


class _Code(str):
    """Source code, printed as it is inside a container."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def cell_code(cell: CellResult, run_id: str) -> str:
    """Python that makes exactly this request again, or reuses it; `run_id` is that of the tracked sweep, or "".

    Raises:
        SweepError: its request is unknown, or a reference is neither a file, nor an address, nor tracked.
    """
    if cell.request is None:
        raise SweepError(f"{cell.title}: its request is unknown, open its sweep first")
    references = _References(run_id, tuple(dict.fromkeys(cell.request.images)), exact=True)
    given: dict[str, Any] = {"prompt": escaped(cell.request.prompt)}
    given |= references.fixed(cell.request.images)
    fields = {name: getattr(cell.request, name) for name in (*FIELDS, "price", "repeat") if name != "prompt"}
    given |= {name: value for name, value in fields.items() if value != (1 if name == "repeat" else None)}
    call = f"result = lab.run(kl.Sweep(\n{_arguments(given)}))[0]\nresult.image\n"
    return _opening(cell.service) + references.source(cell.fingerprint) + call


def sweep_code(sweep: Sweep, *, service: str = "", run_id: str = "") -> str:
    """Python that makes a sweep and runs it; `run_id` is that of the tracked sweep, for references without a file.

    Raises:
        SweepError: a reference is neither a file, nor an address, nor tracked.
    """
    references = _References(run_id, sweep.references, exact=False)
    given: dict[str, Any] = {}
    for key, value in sweep.fixed.items():
        given |= references.fixed(value) if key == "images" else {key: value}
    axes: dict[str, Any] = {}
    for axis in sweep.axes:
        entries = [references.entry(axis.keys, entry) for entry in axis.values]
        if all(axis.labels):
            axes[axis.key] = dict(zip(axis.labels, entries, strict=True))
        else:
            axes[axis.key] = entries
    if axes:
        given["axes"] = axes
    for key, value, usual in (
        ("name", sweep.given_name, ""),
        ("note", sweep.note, ""),
        ("max_megapixels", sweep.max_megapixels, MAX_MEGAPIXELS),
        ("protect", sweep.protect, {}),
    ):
        if value != usual:
            given[key] = value
    call = f"sweep = kl.Sweep(\n{_arguments(given)})\nprint(lab.plan(sweep))\nresults = lab.run(sweep)\n"
    return _opening(service) + references.source() + call


def _opening(service: str) -> str:
    argument = '"sandbox"' if service == "sandbox" else ""
    return f"import kontext_lab as kl\n\nlab = kl.Lab({argument})\n"


def escaped(prompt: str) -> str:
    """A filled-in prompt with its braces escaped, so that they stay text."""
    text = prompt
    for name in placeholders(prompt):
        text = text.replace(f"{{{name}}}", f"{{{{{name}}}}}")
    if placeholders(text) or filled(text, {}) != prompt:
        raise SweepError("prompt: its braces can't be written as source, load its sweep instead")
    return text


def _arguments(given: Mapping[str, Any]) -> str:
    lines = []
    for key, value in given.items():
        text = pprint.pformat(value, width=100, sort_dicts=False)
        lines.append(f"    {key}={text},\n".replace("\n", "\n    ").rstrip(" "))
    return "".join(lines)


class _References:
    """References as code: a path or an address that still has the picture, else the tracked one."""

    def __init__(self, run_id: str, references: Sequence[Reference], *, exact: bool) -> None:
        self._run_id, self._exact = run_id, exact
        self._tracked: list[Reference] = []
        self._texts = {reference: self._text(reference) for reference in references}

    def _text(self, reference: Reference) -> Any:
        if reference.url and not reference.signed and not self._exact:
            return reference.url
        path = Path(reference.source)
        if not self._exact and path.is_absolute():
            with suppress(SweepError):
                if load_reference(path).digest == reference.digest:
                    return str(path)
        if not self._run_id:
            raise SweepError(
                f"reference {reference.name}: has no file and is not tracked yet; run the sweep first"
            )
        self._tracked.append(reference)
        return _Code(f"references[{reference.digest[:16]!r}]")

    def source(self, fingerprint: str = "") -> str:
        """The line that loads the tracked references."""
        lines = f"# request {fingerprint}\n" if fingerprint else ""
        if self._tracked:
            lines += f"references = {{one.digest[:16]: one for one in lab.load_sweep({self._run_id!r}).references}}\n"
        return lines

    def fixed(self, references: Sequence[Reference]) -> dict[str, Any]:
        """The argument for references that are the same in every cell."""
        texts = [self._texts[one] for one in references]
        return {"image": texts[0]} if len(texts) == 1 else {"images": texts}

    def entry(self, keys: Sequence[str], entry: Sequence[Any]) -> Any:
        """One value of an axis."""
        parts = []
        for key, part in zip(keys, entry, strict=True):
            texts = [self._texts[one] for one in part] if key in REFERENCE_KEYS else part
            parts.append(texts[0] if key == "image" else texts)
        return parts[0] if len(parts) == 1 else tuple(parts)
