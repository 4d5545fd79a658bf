"""Flags as fields of dataclasses: what results record of them."""

from __future__ import annotations

from dataclasses import fields

from adain.options import recorded
from adain.stylize.config import StylizeConfig

PATHS = {"content_path": ("a.jpg",), "style_path": ("b.jpg",)}


def test_results_record_what_they_depend_on():
    assert recorded(StylizeConfig(**PATHS)) == {}
    config = StylizeConfig(
        **PATHS, engine="mnn", tile=64, quiet=True, alpha=0.5, passes=2, keep_colors="luma"
    )
    assert recorded(config) == {"passes": 2, "keep_colors": "luma"}


def test_only_flags_about_the_work_itself_are_not_recorded():
    """A new flag is recorded unless it says otherwise, so that no stale result is kept."""
    unrecorded = {
        item.name for item in fields(StylizeConfig) if not item.metadata["affects_result"]
    }
    assert unrecorded == {
        "out_path", "engine", "tile", "max_memory", "overwrite", "dry_run", "max_pixels", "json",
        "quiet",
    }  # fmt: skip
