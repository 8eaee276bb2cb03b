"""The form: everything a sweep is made of, typed and shown; what it holds is a `FormState`."""

from __future__ import annotations

from kontext_lab.panel.form.form import Form

__all__ = ["Form"]
