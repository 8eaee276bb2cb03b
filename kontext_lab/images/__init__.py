"""Pictures: references prepared for sending, received pictures examined, thumbnails.

Knows Pillow and numpy. Knows nothing of requests, sweeps, services or MLflow, and opens no connection:
whoever wants a reference by URL passes the function that fetches it.
"""

from kontext_lab.images.boxes import Box, Boxes, boxes_by_reference, checked_box, checked_boxes
from kontext_lab.images.examine import PREVIEW_BOX, Examined, examine, thumbnail
from kontext_lab.images.formats import open_picture
from kontext_lab.images.likeness import SAME_PICTURE, bits_apart, perceptual_hash, squares_apart
from kontext_lab.images.prepare import MAX_MEGAPIXELS
from kontext_lab.images.reference import Origin, Reference, load_reference, origins_of, picture_of
from kontext_lab.images.source_file import MAX_REFERENCE_BYTES, read_file

__all__ = [
    "MAX_MEGAPIXELS",
    "MAX_REFERENCE_BYTES",
    "PREVIEW_BOX",
    "SAME_PICTURE",
    "Box",
    "Boxes",
    "Examined",
    "Origin",
    "Reference",
    "bits_apart",
    "boxes_by_reference",
    "checked_box",
    "checked_boxes",
    "examine",
    "load_reference",
    "open_picture",
    "origins_of",
    "perceptual_hash",
    "picture_of",
    "read_file",
    "squares_apart",
    "thumbnail",
]
