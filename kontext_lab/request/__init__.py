"""One API call's parameters: fields, limits, what is sent, what it costs, and its fingerprint.

Written from the service's contract. Pure: it knows pictures only as references, opens no connection, and
shares nothing with the sandbox, which states the same contract in its own words.
"""

from kontext_lab.request.edit import (
    CONTROL,
    LONGEST_INTEGER,
    EditRequest,
    check_field,
    decimal_text,
    plain,
)
from kontext_lab.request.tables import (
    ALLOWED,
    ASPECT_RATIOS,
    DEFAULT,
    FIELDS,
    MATCH_INPUT,
    MODELS,
    SIZES,
    Model,
    find_model,
    nearest_size,
)

__all__ = [
    "ALLOWED",
    "ASPECT_RATIOS",
    "CONTROL",
    "DEFAULT",
    "FIELDS",
    "LONGEST_INTEGER",
    "MATCH_INPUT",
    "MODELS",
    "SIZES",
    "EditRequest",
    "Model",
    "check_field",
    "decimal_text",
    "find_model",
    "nearest_size",
    "plain",
]
