"""Flags as fields of dataclasses: what results record of them."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from adain.options import Range, UsageError, recorded
from adain.presets.preset import PresetError
from adain.stylize.config import StylizeConfig
from adain.training.config import check_checkpoint

PATHS = {"content_path": ("a.jpg",), "style_path": ("b.jpg",)}


def test_results_record_what_they_depend_on():
    assert recorded(StylizeConfig(**PATHS)) == {}
    config = StylizeConfig(
        **PATHS, engine="mnn", tile=64, quiet=True, alpha=0.5, passes=2, keep_colors="luma"
    )
    assert recorded(config) == {"passes": 2, "keep_colors": "luma"}
    assert recorded(StylizeConfig(**PATHS, precision="bfloat16")) == {"precision": "bfloat16"}


def test_only_flags_about_the_work_itself_are_not_recorded():
    """A new flag is recorded unless it says otherwise, so that no stale result is kept."""
    unrecorded = {
        item.name for item in fields(StylizeConfig) if not item.metadata["affects_result"]
    }
    assert unrecorded == {
        "out_path", "engine", "tile", "max_memory", "overwrite", "dry_run", "max_pixels", "json",
        "quiet",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "good", "bad", "text"),
    [
        (Range(least=0), [0, 0.5, 10**9], [-1, -1e-9], "0 or more"),
        (Range(least=1, most=100), [1, 100], [0, 101, 100.5], "in [1, 100]"),
        (Range(above=0), [1e-9, 5], [0, -1], "greater than 0"),
        (Range(above=0, below=1), [0.5], [0, 1], "between 0 and 1"),
        (Range(least=0, below=1), [0, 0.99], [1, -0.1], "0 or more, and less than 1"),
        (Range(least=64, zero=True), [0, 64], [1, 63, -64], "0, or 64 or more"),
    ],
    ids=str,
)
def test_limits(limits, good, bad, text):
    assert str(limits) == text
    assert all(map(limits.holds, good))
    assert not any(map(limits.holds, [*bad, math.nan, math.inf, -math.inf]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"passes": "2"}, "`passes` must be a whole number. Received: passes='2'"),
        ({"passes": 1.5}, "`passes` must be a whole number. Received: passes=1.5"),
        ({"passes": True}, "`passes` must be a whole number. Received: passes=True"),
        ({"passes": None}, "`passes` must be a whole number. Received: passes=None"),
        ({"alpha": "full"}, "`alpha` must be a number. Received: alpha='full'"),
        ({"alpha": None}, "`alpha` must be a number. Received: alpha=None"),
        ({"alpha": (0.5, math.nan)}, "`alpha` must be 0 or more. Received: alpha=0.5 nan"),
        ({"quiet": 1}, "`quiet` must be True or False. Received: quiet=1"),
        ({"checkpoint": 3}, "`checkpoint` must be text or a path. Received: checkpoint=3"),
        ({"checkpoint": None}, "`checkpoint` must be text or a path"),
        ({"checkpoint": ""}, "`checkpoint` must be text or a path that is not empty"),
        ({"mask": (3,)}, "`mask` must be text or a path. Received: mask=3"),
        ({"tile": 65}, "`tile` must be a multiple of 16. Received: tile=65"),
        ({"tile": "large"}, "`tile` must be a whole number"),
        ({"keep_colors": "all"}, "`keep_colors` must be one of coral, histogram, luma"),
        ({"style_path": ()}, "`style_path` must be at least one path. Received: style_path="),
    ],
    ids=str,
)
def test_one_line_for_settings_that_cannot_be(settings, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        StylizeConfig(**PATHS | settings)


def test_settings_are_brought_to_their_types():
    config = StylizeConfig(
        content_path=Path("a.jpg"), style_path=[Path("b.jpg"), "c"], alpha=1, passes=np.int64(2),
        feather=np.float32(0), checkpoint=Path("weights"),
    )  # fmt: skip
    assert config.content_path == ("a.jpg",)
    assert config.style_path == ("b.jpg", "c")
    assert config.alpha == (1.0,) and type(config.alpha[0]) is float
    assert type(config.passes) is int and type(config.feather) is float
    assert config.checkpoint == "weights"
    assert config.tile is None


def test_a_broken_preset_beside_a_state_is_not_overwritten(tmp_path):
    check_checkpoint(tmp_path / "new")
    (tmp_path / "state.npz").touch()
    check_checkpoint(tmp_path)  # A run that was killed before its first preset was complete.
    (tmp_path / "config.json").write_text('{"widths": [4')
    with pytest.raises(
        PresetError, match=r"config\.json: not readable .* Delete that file to"
    ) as it:
        check_checkpoint(tmp_path)
    assert "\n" not in str(it.value)
