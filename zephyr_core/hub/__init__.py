"""The Hugging Face Hub: datasets and models, fetched at one commit or read from its cache, and published in one."""

from zephyr_core.hub.fetching import (
    LISTINGS,
    Choose,
    Snapshot,
    cached,
    cached_file,
    fetch,
    is_hub_id,
    with_commit,
)
from zephyr_core.hub.publication import MAIN, Publication, Published, Target
from zephyr_core.hub.publishing import publish
from zephyr_core.hub.pulling import pull
from zephyr_core.hub.refusals import Kind, Request

__all__ = [
    "LISTINGS",
    "MAIN",
    "Choose",
    "Kind",
    "Publication",
    "Published",
    "Request",
    "Snapshot",
    "Target",
    "cached",
    "cached_file",
    "fetch",
    "is_hub_id",
    "publish",
    "pull",
    "with_commit",
]
