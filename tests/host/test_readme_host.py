"""Law 11: the README's lines about a host object run on a real one."""

from __future__ import annotations

import configs
import pytest
import test_readme


@pytest.mark.parametrize("block", test_readme.blocks("python host"), ids=["convert"])
def test_python_on_a_host_object(block, host_model):
    names = {"host_model": host_model(configs.open_small(), 1)}
    exec(compile(block, "README.md", "exec"), names)
    assert names["live"].spec.block_frames == 48
